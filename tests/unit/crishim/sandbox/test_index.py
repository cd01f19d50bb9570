"""The index of sandboxes under changes that come at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from msgspec.structs import replace

from crishim.core.errors import NotFoundError
from crishim.model.attachment import AttachmentRecord
from crishim.model.pod import PodMetadata
from crishim.model.sandbox import Event, Sandbox, State
from crishim.sandbox.index import SandboxIndex
from crishim.testing.store import MemoryStore
from crishim.testing.world import example_pod

pytestmark = pytest.mark.anyio


class SlowStore(MemoryStore):
    """Lets others run while it writes, as a real one does."""

    async def put(self, *records: Sandbox | AttachmentRecord, without: Sequence[AttachmentRecord] = ()) -> None:
        await asyncio.sleep(0)
        await super().put(*records, without=without)


async def filled(state: State) -> SandboxIndex:
    index = SandboxIndex(SlowStore())
    await index.put(Sandbox(id="s1", config=example_pod(), runtime_handler="", created_at=1, boot_id="b", state=state))
    return index


async def test_new_facts_do_not_undo_a_stop() -> None:
    index = await filled(State.READY)
    changed = example_pod(hostname="new")
    await asyncio.gather(index.advance("s1", Event.STOP), index.change("s1", config=changed))
    assert (index.get("s1").state, index.get("s1").config) == (State.STOPPING, changed)


async def test_what_is_forgotten_while_it_changes_stays_forgotten() -> None:
    index = await filled(State.REMOVING)
    config = example_pod(hostname="new")
    gone, late = await asyncio.gather(index.drop("s1"), index.change("s1", config=config), return_exceptions=True)
    assert gone is None
    assert isinstance(late, NotFoundError)
    assert index.all() == []


async def test_the_successor_is_the_newest_of_the_same_pod() -> None:
    def made(name: str, created_at: int, pod: str = "web", state: State = State.READY) -> Sandbox:
        config = replace(example_pod(), metadata=PodMetadata(pod, "u1", "shop", attempt=created_at))
        return Sandbox(id=name, config=config, runtime_handler="", created_at=created_at, boot_id="b", state=state)

    former, between, newest = made("s1", 1), made("s2", 2), made("s3", 3)
    index = SandboxIndex(MemoryStore())
    index.load((between, newest, made("other", 4, "other"), made("half", 5, state=State.CREATING)), ())
    assert [index.successor(each) for each in (former, between, newest)] == [newest, newest, None]


async def test_who_has_no_attachments_left_is_no_orphan() -> None:
    record = AttachmentRecord(sandbox_id="lost", network="n", ifname="eth0", conflist="", source="", netns="")
    index = SandboxIndex(MemoryStore())
    index.load((), (record,))
    assert index.orphans() == {"lost"}
    await index.put(without=[record])
    assert (index.orphans(), index.attachments("lost")) == (set(), [])
