"""Layers that a container stands on, and what the end of its hold takes from the disk and from the records."""

from __future__ import annotations

from pathlib import Path

import pytest

from crishim.image.digest import digest_of
from crishim.image.store.store import ImageStore
from crishim.model.image import ImageRecord
from crishim.testing.image_store import MemoryImageRecords, NoSync

pytestmark = pytest.mark.anyio

LAYER, IMAGE = digest_of(b"layer"), digest_of(b"image")


class CountedRecords(MemoryImageRecords):
    deletions = 0

    async def delete(self, **records: object) -> None:
        self.deletions += 1
        await super().delete(**records)  # type: ignore[arg-type]


@pytest.mark.parametrize(("removed", "left"), [(False, {LAYER}), (True, set())], ids=["image there", "image removed"])
async def test_the_end_of_a_hold_is_one_transaction(tmp_path: Path, *, removed: bool, left: set[str]) -> None:
    records = CountedRecords()
    store = await stored(tmp_path, records)
    await store.hold("container", IMAGE)
    await store.write_hold("container")
    if removed:
        await store.remove_image(IMAGE)
    records.deletions = 0
    await store.release("container")
    assert (records.deletions, records.holds, set(records.layers)) == (1, {}, left)
    assert (store.index.holds, set(store.index.layers)) == ({}, left)
    assert len(list((tmp_path / "layers").iterdir())) == len(left)


@pytest.mark.parametrize("written", [False, True])
async def test_a_hold_outlives_a_crash_once_it_is_written(tmp_path: Path, *, written: bool) -> None:
    records = MemoryImageRecords()
    store = await stored(tmp_path, records)
    await store.hold("container", IMAGE)
    if written:
        await store.write_hold("container")
    await store.write_hold("nobody")
    assert set(records.holds) == ({"container"} if written else set())
    await store.remove_image(IMAGE)
    assert set(store.index.layers) == {LAYER}


async def stored(root: Path, records: MemoryImageRecords) -> ImageStore:
    store = ImageStore(root, records, NoSync(), "this boot", ())
    store.layers.prepare()
    await store.add_layer(store.layers.stage(), LAYER, LAYER, used_bytes=0, inodes=1, stream_bytes=0)
    await store.add_image(
        ImageRecord(id=IMAGE, manifest="", documents=(), packed=(), chain=(LAYER,), size=0, created_at=1)
    )
    return store
