"""Unpacking one layer for several pulls at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from crishim.image.chain import chain_ids
from crishim.image.digest import digest_of
from crishim.image.errors import ContentError
from crishim.image.layering import PlannedLayer, Unpacking
from crishim.image.progress import Stage, Step
from crishim.image.settings import Limits
from crishim.image.types import Compression, Descriptor, MediaType
from crishim.testing.images import compress, file, tar
from tests.netns.image.lab import ImageLab, image_lab

pytestmark = pytest.mark.anyio

GOOD, BAD = tar([file("a", b"good")]), tar([file("a", b"bad")])
DIFF_ID = digest_of(GOOD)


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[ImageLab]:
    async with image_lab(tmp_path / "images") as made:
        yield made


async def _planned(lab: ImageLab, blob: bytes) -> tuple[PlannedLayer, Step]:
    """The layer GOOD, or so its image says, that is to come from ``blob``."""
    await lab.store.blobs.add(blob, digest_of(blob))
    descriptor = Descriptor(MediaType.OCI_LAYER, digest_of(blob), len(blob))
    layer = PlannedLayer(descriptor, DIFF_ID, chain_ids((DIFF_ID,))[0], ())
    return layer, Step(descriptor.digest, descriptor.size)


async def test_a_blob_that_is_not_the_layer_spoils_it_for_no_other(lab: ImageLab) -> None:
    unpacking, blobs = Unpacking(lab.store, Limits(), 2), (BAD, GOOD, compress(GOOD, Compression.GZIP), GOOD)
    planned = [await _planned(lab, blob) for blob in blobs]
    works = (unpacking.unpack(layer, step, 1 << 20) for layer, step in planned)
    results = await asyncio.gather(*works, return_exceptions=True)
    assert [type(result) for result in results] == [ContentError, *[int] * 3]
    assert [step.stage for _, step in planned] == [Stage.DOWNLOADED, *[Stage.DONE] * 3]


async def test_a_layer_that_comes_twice_is_kept_once(lab: ImageLab) -> None:
    unpacking = Unpacking(lab.store, Limits(), 2)
    planned = [await _planned(lab, blob) for blob in (GOOD, compress(GOOD, Compression.GZIP))]
    await asyncio.gather(*(unpacking.unpack(layer, step, 1 << 20) for layer, step in planned))
    assert [name for name in lab.files() if not name.startswith("blobs/")] == ["layers/1/a"]
