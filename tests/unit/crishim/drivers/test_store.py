from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from crishim.core.errors import (
    AlreadyExistsError,
    FailedPreconditionError,
    InvalidArgumentError,
    UnavailableError,
)
from crishim.drivers.store import Store
from crishim.model.attachment import AttachmentRecord, Phase, PluginStep
from crishim.model.container import Container, ContainerConfig, ContainerMetadata, ImageSpec
from crishim.model.pod import PodConfig, PodMetadata
from crishim.model.sandbox import NamespacePaths, Sandbox, State
from crishim.testing.store import MemoryStore

pytestmark = pytest.mark.anyio

Either = Store | MemoryStore


def sandbox(sandbox_id: str = "s", name: str = "") -> Sandbox:
    metadata = PodMetadata(name=name or sandbox_id, uid="u", namespace="n")
    config = PodConfig(metadata=metadata, labels={"a": "ü\u2028"}, sysctls={"net.x": "1"})
    paths = NamespacePaths(net=f"/run/netns/cni-{sandbox_id}")
    return Sandbox(
        id=sandbox_id, config=config, runtime_handler="runc", created_at=1, boot_id="b", namespaces=paths, ips=("::1",)
    )


def attachment(sandbox_id: str = "s", ifname: str = "eth0") -> AttachmentRecord:
    return AttachmentRecord(
        sandbox_id=sandbox_id,
        network="net",
        ifname=ifname,
        conflist="{}",
        source="/etc/cni/net.d/a.conflist",
        netns="/run/netns/cni-s",
        args=(("K", "v"),),
        capability_args={"portMappings": [{"hostPort": 80}]},
        phase=Phase.ATTACHED,
        steps=(PluginStep("bridge", 0.25),),
        result={"ips": [{"address": "10.0.0.2/24"}]},
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.db"


@pytest.fixture(params=["sqlite", "memory"])
async def either(request: pytest.FixtureRequest, path: Path) -> AsyncIterator[Either]:
    store = await Store.open(path) if request.param == "sqlite" else MemoryStore()
    yield store
    await store.close()


@pytest.fixture
async def store(path: Path) -> AsyncIterator[Store]:
    store = await Store.open(path)
    yield store
    await store.close()


def execute(path: Path, sql: str, *arguments: object) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        return connection.execute(sql, arguments).fetchall()


async def test_records_come_back_as_they_went(either: Either) -> None:
    await either.put(attachment(), sandbox())
    assert (await either.load_sandboxes(), await either.load_attachments()) == ([sandbox()], [attachment()])


async def test_a_record_is_replaced(either: Either) -> None:
    ready = msgspec.structs.replace(sandbox(), state=State.READY)
    failed = msgspec.structs.replace(attachment(), error="no")
    await either.put(sandbox(), attachment())
    await either.put(ready)
    await either.put(failed)
    assert (await either.load_sandboxes(), await either.load_attachments()) == ([ready], [failed])


async def test_a_reserved_name_is_taken_until_its_sandbox_goes(either: Either) -> None:
    await either.put(sandbox("a", name="pod"))
    with pytest.raises(AlreadyExistsError, match="the name is taken"):
        await either.put(sandbox("b", name="pod"))
    await either.delete_sandbox("a")
    await either.put(sandbox("b", name="pod"))


async def test_one_bad_record_stops_them_all(either: Either) -> None:
    with pytest.raises(FailedPreconditionError):
        await either.put(sandbox("a"), attachment("unknown"))
    assert (await either.load_sandboxes(), await either.load_attachments()) == ([], [])


async def test_a_sandbox_stays_while_it_has_attachments(either: Either) -> None:
    await either.put(sandbox(), attachment())
    with pytest.raises(FailedPreconditionError, match="a record would refer to one that is not there"):
        await either.delete_sandbox("s")
    await either.put(without=[attachment()])
    await either.delete_sandbox("s")
    assert await either.load_sandboxes() == []


async def test_a_bad_record_keeps_what_was_to_be_forgotten(either: Either) -> None:
    await either.put(sandbox(), attachment())
    with pytest.raises(FailedPreconditionError):
        await either.put(attachment("unknown"), without=[attachment()])
    assert await either.load_attachments() == [attachment()]


async def test_deleting_what_is_not_there_is_fine(either: Either) -> None:
    await either.delete_sandbox("nobody")
    await either.put(without=[attachment("nobody")])


async def test_containers_are_replaced_and_forgotten(either: Either) -> None:
    metadata, image = ContainerMetadata("app"), ImageSpec("busybox")
    made = Container(
        id="c1", sandbox_id="s1", config=ContainerConfig(metadata, image), runtime_handler="", created_at=1, boot_id="b"
    )
    await either.put_container(made)
    await either.put_container(replace(made, pid=7))
    assert await either.load_containers() == [replace(made, pid=7)]
    await either.delete_container("c1")
    assert await either.load_containers() == []


async def test_it_is_all_there_after_a_restart(store: Store, path: Path) -> None:
    await store.put(sandbox(), attachment())
    await store.close()
    again = await Store.open(path)
    assert (await again.load_sandboxes(), await again.load_attachments()) == ([sandbox()], [attachment()])
    assert again.problems == []
    await again.close()


async def test_writes_take_effect_in_the_order_they_were_made(store: Store) -> None:
    steps = [msgspec.structs.replace(sandbox(), created_at=number) for number in range(50)]
    async with asyncio.TaskGroup() as group:
        for step in steps:
            group.create_task(store.put(step))
    assert await store.load_sandboxes() == steps[-1:]


async def test_a_cancelled_write_has_happened(store: Store) -> None:
    task = asyncio.ensure_future(store.put(sandbox()))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await store.load_sandboxes() == [sandbox()]


BAD_RECORDS = [b"", b"\xff\xfe", b"{}", b'{"id":1}', b"[" * 100_000, msgspec.json.encode(sandbox())[:-9]]


@pytest.mark.parametrize("data", BAD_RECORDS, ids=range(len(BAD_RECORDS)))
async def test_a_corrupt_record_is_told_and_kept_aside(store: Store, path: Path, data: bytes) -> None:
    await store.put(sandbox("good"), sandbox("bad"), attachment("bad"))
    execute(path, "UPDATE sandboxes SET record = ? WHERE id = 'bad'", data)
    assert await store.load_sandboxes() == [sandbox("good")]
    assert len(store.problems) == 1
    assert store.problems[0].startswith("sandboxes bad: the record cannot be read and was put aside")
    assert execute(path, "SELECT source, key, record FROM quarantine") == [("sandboxes", "bad", data)]


async def test_the_attachments_of_a_lost_sandbox_can_still_be_undone(store: Store, path: Path) -> None:
    await store.put(sandbox("bad"), attachment("bad"))
    execute(path, "UPDATE sandboxes SET record = x'00'")
    assert (await store.load_sandboxes(), await store.load_attachments()) == ([], [attachment("bad")])
    await store.put(msgspec.structs.replace(attachment("bad"), phase=Phase.DELETING, error="busy"))
    await store.put(without=[attachment("bad")])
    assert await store.load_attachments() == []


async def test_a_corrupt_attachment_is_told_by_its_whole_key(store: Store, path: Path) -> None:
    await store.put(sandbox(), attachment())
    execute(path, "UPDATE attachments SET record = x'00'")
    assert await store.load_attachments() == []
    assert "attachments s/net/eth0:" in store.problems[0]


async def test_a_damaged_key_hides_no_other_row(store: Store, path: Path) -> None:
    await store.put(sandbox("good"), sandbox("bad"))
    execute(path, "UPDATE sandboxes SET id = CAST(x'ff' AS TEXT), record = x'00' WHERE id = 'bad'")
    assert await store.load_sandboxes() == [sandbox("good")]


async def test_a_record_with_fields_of_another_version_is_read(store: Store, path: Path) -> None:
    await store.put(sandbox())
    newer = {**msgspec.to_builtins(sandbox()), "added_later": 1}
    del newer["reason"], newer["netns_inode"]
    execute(path, "UPDATE sandboxes SET record = ?", msgspec.json.encode(newer))
    assert await store.load_sandboxes() == [sandbox()]


async def test_an_attachment_of_an_older_server_is_read(store: Store, path: Path) -> None:
    await store.put(sandbox(), attachment())
    older = {**msgspec.to_builtins(attachment()), "boot_id": "b", "netns_inode": 1}
    execute(path, "UPDATE attachments SET record = ?", msgspec.json.encode(older))
    assert await store.load_attachments() == [attachment()]


async def test_a_record_of_an_unreadable_version_is_put_aside(store: Store, path: Path) -> None:
    await store.put(sandbox())
    execute(path, "UPDATE sandboxes SET version = 99")
    assert await store.load_sandboxes() == []
    assert "its version is 99, this program knows 1 and older" in store.problems[0]


async def test_a_record_that_is_no_json_is_refused(store: Store) -> None:
    record = msgspec.structs.replace(attachment(), result={"mtu": object()})
    with pytest.raises(InvalidArgumentError, match="attachment eth0 of sandbox s on net cannot be written"):
        await store.put(sandbox(), record)


async def test_a_corrupt_file_is_told(path: Path) -> None:
    execute(path, "CREATE TABLE theirs (a)")
    store = await Store.open(path)
    assert "state.db.corrupt-1" in store.problems[0]
    await store.close()


async def test_a_closed_store_says_so(store: Store) -> None:
    await store.close()
    with pytest.raises(UnavailableError, match="the store is closed"):
        await store.put(sandbox())
