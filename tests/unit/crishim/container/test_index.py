"""The index of containers under changes that come at the same time."""

from __future__ import annotations

import asyncio

import pytest

from crishim.container.index import ContainerIndex
from crishim.core.errors import NotFoundError
from crishim.core.tasks import TaskOwner
from crishim.model.container import Container, Event, State
from crishim.testing.container_world import example_container
from crishim.testing.store import MemoryStore

pytestmark = pytest.mark.anyio


async def filled(state: State) -> ContainerIndex:
    index = ContainerIndex(MemoryStore(), TaskOwner())
    config = example_container()
    await index.put(
        Container(id="c1", sandbox_id="pod", config=config, runtime_handler="", created_at=1, boot_id="b", state=state)
    )
    return index


async def test_an_end_during_the_start_is_not_overwritten() -> None:
    index = await filled(State.CREATED)
    ended = index.advance_from((State.CREATED, State.RUNNING), "c1", Event.EXITED, exit_code=3)
    _, started = await asyncio.gather(ended, index.advance_from((State.CREATED,), "c1", Event.START))
    assert (started, index.get("c1").state, index.get("c1").exit_code) == (None, State.EXITED, 3)


async def test_a_change_keeps_what_came_before_it() -> None:
    index = await filled(State.RUNNING)
    await asyncio.gather(index.advance("c1", Event.EXITED), index.change("c1", log_path="/log"))
    assert (index.get("c1").state, index.get("c1").log_path) == (State.EXITED, "/log")


async def test_what_is_forgotten_while_it_changes_stays_forgotten() -> None:
    index = await filled(State.REMOVING)
    gone, late = await asyncio.gather(index.drop("c1"), index.change("c1", log_path="/log"), return_exceptions=True)
    assert gone is None
    assert isinstance(late, NotFoundError)
    assert index.all() == []
