"""What readers are told of containers and sandboxes."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

from crishim.events import Events
from crishim.model.event import EventType
from crishim.model.sandbox import State
from crishim.testing.container_world import example_sandbox


async def test_the_end_of_a_sandbox_says_which_pod_it_was_of() -> None:
    events = Events(lambda sandbox_id: None)  # it is forgotten before its end is told
    async with aclosing(events.read()) as reader:
        told = asyncio.ensure_future(anext(reader))
        await asyncio.sleep(0)
        removed = example_sandbox(state=State.REMOVING)
        events.on_sandbox(removed, EventType.DELETED)
        event = await told
    assert (event.type, event.sandbox) == (EventType.DELETED, removed)
