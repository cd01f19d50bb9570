"""Changes of the store whose records cannot be written, and that meet each other."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from pathlib import Path

import pytest

from crishim.core.errors import SystemCallError, UnavailableError
from crishim.image.digest import digest_of
from crishim.image.store.recover import incomplete, open_store
from crishim.image.store.store import ImageStore
from crishim.model.image import ImageRecord
from crishim.testing.cni import Gate
from crishim.testing.image_store import MemoryImageRecords, NoSync

pytestmark = pytest.mark.anyio

CONTENT = b"document"
LAYER, DOCUMENT, PACKED = digest_of(b"layer"), digest_of(CONTENT), digest_of(b"packed")
IMAGE = ImageRecord(
    id=DOCUMENT, manifest=DOCUMENT, documents=(DOCUMENT,), packed=(PACKED,), chain=(LAYER,), size=0, created_at=0
)

Change = Coroutine[None, None, None]
Begin = Callable[[ImageStore], Awaitable[Change]]


@pytest.fixture
def records() -> MemoryImageRecords:
    return MemoryImageRecords()


@pytest.fixture
def disk() -> NoSync:
    return NoSync()


@pytest.fixture
def store(tmp_path: Path, records: MemoryImageRecords, disk: NoSync) -> ImageStore:
    made = ImageStore(tmp_path, records, disk, "this boot", ())
    made.layers.prepare()
    made.blobs.prepare()
    return made


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


async def add_layer(store: ImageStore) -> Path:
    staged = store.layers.stage()
    await store.add_layer(staged, LAYER, LAYER, used_bytes=0, inodes=1, stream_bytes=0)
    return staged


async def test_a_layer_without_record_stays_with_who_unpacked_it(
    store: ImageStore, records: MemoryImageRecords, tmp_path: Path
) -> None:
    records.failures["put"] = UnavailableError("the disk is full")
    staged = store.layers.stage()
    with pytest.raises(UnavailableError):
        await store.add_layer(staged, LAYER, LAYER, used_bytes=0, inodes=1, stream_bytes=0)
    assert (names(tmp_path / "layers"), names(staged.parent), store.index.layers) == ([], [staged.name], {})


async def test_a_layer_that_is_there_is_not_replaced(store: ImageStore, tmp_path: Path) -> None:
    await add_layer(store)
    second = await add_layer(store)
    assert (names(tmp_path / "layers"), names(second.parent)) == (["1"], [second.name])


async def add_image(store: ImageStore) -> None:
    await add_layer(store)
    await store.blobs.add(CONTENT, DOCUMENT)
    await store.add_image(IMAGE)


async def removal(store: ImageStore) -> Change:
    await add_image(store)
    return store.remove_image(IMAGE.id)


async def release(store: ImageStore) -> Change:
    await add_image(store)
    await store.hold("container", IMAGE.id)
    await store.remove_image(IMAGE.id)
    return store.release("container")


async def collection(store: ImageStore) -> Change:
    await add_layer(store)
    await store.blobs.add(CONTENT, DOCUMENT)
    return store.collect(0)


BEGINNINGS = [removal, release, collection]


@pytest.mark.parametrize("begin", BEGINNINGS)
async def test_a_pull_does_not_see_what_is_being_removed(
    store: ImageStore, records: MemoryImageRecords, begin: Begin
) -> None:
    change, records.gate = await begin(store), Gate()
    removing = asyncio.create_task(change)
    await records.gate.arrivals(1)
    assert (store.index.layers, store.blobs.sizes) == ({}, {})
    records.gate.open()
    await removing


@pytest.mark.parametrize("begin", BEGINNINGS)
async def test_what_can_not_be_removed_stays(store: ImageStore, records: MemoryImageRecords, begin: Begin) -> None:
    change = await begin(store)
    before = dict(store.index.layers), dict(store.blobs.sizes), records.layers.copy()
    records.failures["delete"] = UnavailableError("the disk is full")
    with pytest.raises(UnavailableError):
        await change
    assert (store.index.layers, store.blobs.sizes, records.layers) == before


async def test_an_image_can_come_again_while_it_is_removed(store: ImageStore, records: MemoryImageRecords) -> None:
    change, records.gate = await removal(store), Gate()
    removing = asyncio.create_task(change)
    await records.gate.arrivals(1)
    await store.blobs.add(CONTENT, DOCUMENT)
    records.gate.open()
    await asyncio.gather(removing, add_image(store))
    assert (list(store.index.images), await store.blobs.read(DOCUMENT)) == ([IMAGE.id], CONTENT)
    assert names(store.root / "layers") == ["2"]


async def test_an_image_without_its_layers_is_refused(store: ImageStore) -> None:
    await store.blobs.add(CONTENT, DOCUMENT)
    with pytest.raises(UnavailableError, match=IMAGE.id):
        await store.add_image(IMAGE)


async def test_an_image_without_its_documents_is_refused(store: ImageStore) -> None:
    await add_layer(store)
    with pytest.raises(UnavailableError, match=IMAGE.id):
        await store.add_image(IMAGE)


async def test_a_layer_that_came_again_during_a_sync_keeps_its_own_record(store: ImageStore, disk: NoSync) -> None:
    await add_layer(store)
    disk.gate = Gate()
    syncing = asyncio.create_task(store.sync())
    await disk.gate.arrivals(1)
    await store.collect(0)
    await add_layer(store)
    disk.gate.open()
    await syncing
    assert [(layer.number, layer.synced) for layer in store.index.layers.values()] == [(2, False)]


async def test_a_layer_whose_flush_failed_is_not_taken_for_flushed_by_the_next(store: ImageStore, disk: NoSync) -> None:
    await add_layer(store)
    disk.failures["sync"] = SystemCallError("syncfs: EIO")
    with pytest.raises(SystemCallError):
        await store.sync()
    disk.failures.clear()
    await store.sync()
    assert not store.index.layers[LAYER].synced


async def test_a_layer_that_an_earlier_server_did_not_flush_counts_for_this_boot(
    store: ImageStore, records: MemoryImageRecords, tmp_path: Path, disk: NoSync
) -> None:
    await add_layer(store)
    again = await open_store(tmp_path, records, disk, "this boot")
    await again.sync()
    assert [layer.synced for layer in again.index.layers.values()] == [False]


async def test_a_flush_is_recorded_when_there_is_room_again(store: ImageStore, records: MemoryImageRecords) -> None:
    await add_layer(store)
    records.failures["put"] = UnavailableError("the disk is full")
    with pytest.raises(UnavailableError):
        await store.sync()
    records.failures.clear()
    await store.sync()
    assert records.layers[LAYER].synced


async def test_packed_layers_stay_until_the_unpacked_ones_are_on_the_disk(store: ImageStore) -> None:
    await store.blobs.add(b"packed", PACKED)
    await add_image(store)
    await store.discard_packed(IMAGE.id)
    assert PACKED in store.blobs.sizes
    await store.sync()
    await store.discard_packed(IMAGE.id)
    assert PACKED not in store.blobs.sizes


async def test_packed_layers_go_when_a_loss_of_power_can_not_undo_their_record(
    store: ImageStore, records: MemoryImageRecords, disk: NoSync
) -> None:
    await add_image(store)
    await store.sync()
    await store.discard_packed(IMAGE.id)
    records.after_power_loss()
    again = await open_store(store.root, records, disk, "the next boot")
    assert (list(again.index.images), incomplete(again)) == ([IMAGE.id], [])


async def test_an_image_without_a_document_is_incomplete(
    store: ImageStore, records: MemoryImageRecords, disk: NoSync
) -> None:
    await add_image(store)
    store.blobs.path(DOCUMENT).unlink()
    assert incomplete(await open_store(store.root, records, disk, "this boot")) == [IMAGE.id]


async def test_blobs_may_come_while_garbage_is_looked_for(store: ImageStore) -> None:
    place_blobs(store, range(100))
    placing = asyncio.create_task(asyncio.to_thread(place_blobs, store, range(100, 300)))
    while not placing.done():
        await store.collect(3600)
    assert len(store.blobs.sizes) == 300


def place_blobs(store: ImageStore, numbers: Iterable[int]) -> None:
    for number in numbers:
        aside = store.root / "ingest" / str(number)
        aside.touch()
        store.blobs.place(aside, digest_of(str(number).encode()), 0)
