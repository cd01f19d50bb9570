"""What readers are told of containers and sandboxes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import aclosing

from crishim.container.index import ContainerIndex
from crishim.core.tasks import TaskOwner
from crishim.events import Events
from crishim.model.container import Container
from crishim.model.container import Event as ContainerEvent
from crishim.model.container import State as ContainerState
from crishim.model.event import EventType, PodEvent
from crishim.model.sandbox import State
from crishim.testing.container_world import example_container, example_sandbox
from crishim.testing.store import MemoryStore


async def first_event(events: Events, tell: Callable[[], None]) -> PodEvent:
    """What a reader is told of what ``tell`` tells."""
    async with aclosing(events.read()) as reader:
        told = asyncio.ensure_future(anext(reader))
        await asyncio.sleep(0)
        tell()
        return await told


async def test_the_end_of_a_sandbox_says_which_pod_it_was_of() -> None:
    events = Events(lambda sandbox_id: None)  # it is forgotten before its end is told
    removed = example_sandbox(state=State.REMOVING)
    event = await first_event(events, lambda: events.on_sandbox(removed, EventType.DELETED))
    assert (event.type, event.sandbox) == (EventType.DELETED, removed)


def container(name: str, state: ContainerState, *, infra: bool = False) -> Container:
    return Container(
        id=name,
        sandbox_id="pod",
        config=example_container(name),
        runtime_handler="",
        created_at=1,
        boot_id="b",
        state=state,
        infra=infra,
    )


async def test_an_event_shows_no_container_that_lists_do_not() -> None:
    index = ContainerIndex(MemoryStore(), TaskOwner())
    ended = container("ended", ContainerState.EXITED)
    index.load([ended, container("half", ContainerState.CREATING), container("i", ContainerState.RUNNING, infra=True)])
    events = Events(lambda sandbox_id: None)
    events.containers_of = index.visible_of
    event = await first_event(events, lambda: events.on_container(ended, ContainerEvent.EXITED))
    assert event.containers == (ended,)
