"""What readers are told of containers and sandboxes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import aclosing

import pytest
from msgspec.structs import replace

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
    events = Events(lambda sandbox_id: None, lambda sandbox: None)  # it is forgotten before its end is told
    removed = example_sandbox(state=State.REMOVING)
    event = await first_event(events, lambda: events.on_sandbox(removed, EventType.DELETED))
    assert (event.type, event.sandbox) == (EventType.DELETED, removed)


@pytest.mark.parametrize(
    ("kind", "shown"), [(EventType.DELETED, "newer"), (EventType.STOPPED, "pod"), (EventType.CREATED, "pod")]
)
async def test_the_removal_of_a_former_sandbox_shows_the_one_that_the_pod_has(kind: EventType, shown: str) -> None:
    """A kubelet forgets the whole pod of a sandbox that shows its own removal."""
    newer, running = replace(example_sandbox(), id="newer"), container("main", ContainerState.RUNNING)
    events = Events(lambda sandbox_id: None, lambda sandbox: newer)
    events.containers_of = lambda sandbox_id: [running] if sandbox_id == "newer" else []
    event = await first_event(events, lambda: events.on_sandbox(example_sandbox(), kind))
    assert event.sandbox is not None
    assert (event.container_id, event.sandbox.id) == ("pod", shown)
    assert event.containers == ((running,) if shown == "newer" else ())


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
    events = Events(lambda sandbox_id: None, lambda sandbox: None)
    events.containers_of = index.visible_of
    event = await first_event(events, lambda: events.on_container(ended, ContainerEvent.EXITED))
    assert event.containers == (ended,)
