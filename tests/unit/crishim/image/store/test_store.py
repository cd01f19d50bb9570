"""Changes of the store whose records can not be written, and that meet each other."""

from __future__ import annotations

from pathlib import Path

import pytest

from crishim.core.errors import UnavailableError
from crishim.image.digest import digest_of
from crishim.image.store.store import ImageStore
from crishim.testing.image_store import MemoryImageRecords, NoSync

pytestmark = pytest.mark.anyio

LAYER = digest_of(b"layer")


@pytest.fixture
def records() -> MemoryImageRecords:
    return MemoryImageRecords()


@pytest.fixture
def store(tmp_path: Path, records: MemoryImageRecords) -> ImageStore:
    made = ImageStore(tmp_path, records, NoSync(), "this boot", ())
    made.layers.prepare()
    made.blobs.prepare()
    return made


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


async def add_layer(store: ImageStore) -> Path:
    staged = store.layers.stage()
    await store.add_layer(staged, LAYER, LAYER, 0, 1)
    return staged


async def test_a_layer_without_record_stays_with_who_unpacked_it(
    store: ImageStore, records: MemoryImageRecords, tmp_path: Path
) -> None:
    records.failures["put"] = UnavailableError("the disk is full")
    staged = store.layers.stage()
    with pytest.raises(UnavailableError):
        await store.add_layer(staged, LAYER, LAYER, 0, 1)
    assert (names(tmp_path / "layers"), names(staged.parent), store.index.layers) == ([], [staged.name], {})


async def test_a_layer_that_is_there_is_not_replaced(store: ImageStore, tmp_path: Path) -> None:
    await add_layer(store)
    second = await add_layer(store)
    assert (names(tmp_path / "layers"), names(second.parent)) == (["1"], [second.name])
