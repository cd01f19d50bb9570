"""Blob files: whole or not there."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from crishim.image.digest import Digest, digest_of
from crishim.image.errors import ContentError, StorageError
from crishim.image.store.blobs import BlobFiles

pytestmark = pytest.mark.anyio

CONTENT = b"content"
BLOB = digest_of(CONTENT)


@pytest.fixture
def blobs(tmp_path: Path) -> BlobFiles:
    made = BlobFiles(tmp_path)
    made.prepare()
    return made


def _files(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


async def test_a_blob_is_visible_once_it_is_committed(blobs: BlobFiles, tmp_path: Path) -> None:
    async with blobs.incoming(BLOB, len(CONTENT)) as writer:
        await writer.write(CONTENT)
        await writer.verify()
        assert not blobs.path(BLOB).exists()
        await writer.commit()
    assert (await blobs.read(BLOB), blobs.sizes, len(_files(tmp_path))) == (CONTENT, {BLOB: 7}, 1)


async def test_what_is_not_committed_leaves_nothing(blobs: BlobFiles, tmp_path: Path) -> None:
    async with blobs.incoming(BLOB, len(CONTENT)) as writer:
        await writer.write(b"con")
    assert (_files(tmp_path), blobs.sizes) == ([], {})


async def test_two_that_write_one_blob_do_not_disturb_each_other(blobs: BlobFiles, tmp_path: Path) -> None:
    async with blobs.incoming(BLOB, len(CONTENT)) as one, blobs.incoming(BLOB, None) as other:
        for writer in (one, other):
            await writer.write(CONTENT[:3])
        for writer in (one, other):
            await writer.write(CONTENT[3:])
            await writer.verify()
            await writer.commit()
            assert await blobs.read(BLOB) == CONTENT
    assert (len(_files(tmp_path)), blobs.sizes) == (1, {BLOB: len(CONTENT)})


@pytest.mark.parametrize("content", [b"", b"contenT", b"content and more"])
async def test_wrong_content_never_gets_the_name(blobs: BlobFiles, tmp_path: Path, content: bytes) -> None:
    with pytest.raises(ContentError):
        await blobs.add(content, BLOB)
    assert _files(tmp_path) == []


async def test_starting_over(blobs: BlobFiles) -> None:
    async with blobs.incoming(BLOB, len(CONTENT)) as writer:
        await writer.write(b"rubbish"[:5])
        await writer.restart()
        assert writer.offset == 0
        await writer.write(CONTENT)
        await writer.verify()
        await writer.commit()
    assert await blobs.read(BLOB) == CONTENT


async def test_starting_over_after_a_write_that_failed_halfway(blobs: BlobFiles) -> None:
    async with blobs.incoming(BLOB, len(CONTENT)) as writer:
        with room_for(3), pytest.raises(StorageError):
            await writer.write(CONTENT)
        await writer.restart()
        await writer.write(CONTENT)
        await writer.verify()
        await writer.commit()
    assert await blobs.read(BLOB) == CONTENT


@contextmanager
def room_for(size: int) -> Iterator[None]:
    """No file gets longer: a write beyond that stops there, and the next one fails, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_the_next_start_knows_what_is_there_and_drops_what_is_not_whole(tmp_path: Path, blobs: BlobFiles) -> None:
    await blobs.add(CONTENT, BLOB)
    (tmp_path / "ingest/half").write_bytes(b"con")
    (tmp_path / "blobs/sha256/junk").write_bytes(b"")
    again = BlobFiles(tmp_path)
    again.prepare()
    assert again.sizes == {BLOB: len(CONTENT)}
    assert not (tmp_path / "ingest/half").exists()


async def test_removal_twice(blobs: BlobFiles, tmp_path: Path) -> None:
    await blobs.add(CONTENT, BLOB)
    for _ in range(2):
        blobs.forget([BLOB])
        blobs.remove(BLOB)
    assert (_files(tmp_path), blobs.sizes, blobs.age(Digest(BLOB))) == ([], {}, 0.0)


async def test_removal_leaves_a_blob_that_came_again(blobs: BlobFiles) -> None:
    await blobs.add(CONTENT, BLOB)
    assert blobs.forget([BLOB]) == {BLOB: len(CONTENT)}
    await blobs.add(CONTENT, BLOB)
    blobs.remove(BLOB)
    assert (await blobs.read(BLOB), blobs.sizes) == (CONTENT, {BLOB: len(CONTENT)})
