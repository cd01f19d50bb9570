"""What an image says about its user, and to its containers."""

from __future__ import annotations

from pathlib import Path

import pytest

from crishim.core.errors import NotFoundError
from crishim.image.digest import digest_of
from crishim.image.status import ImageRoots, parse_user
from crishim.image.store.store import ImageStore
from crishim.model.image import ImageRecord
from crishim.testing.image_store import MemoryImageRecords, NoSync


@pytest.mark.parametrize(
    ("user", "found"),
    [
        ("", (None, "")),
        ("0", (0, "")),
        ("1002", (1002, "")),
        ("1003:1004", (1003, "")),
        ("www-data", (None, "www-data")),
        ("www-data:1004", (None, "www-data")),
        (":5", (None, "")),
        ("²", (None, "²")),
        ("+7", (7, "")),
        ("-1", (None, "-1")),
        ("2147483647", (2147483647, "")),
        ("2147483648", (None, "2147483648")),
        ("9" * 20, (None, "9" * 20)),
        ("1" * 5000, (None, "1" * 5000)),
    ],
)
def test_user(user: str, found: tuple[int | None, str]) -> None:
    assert parse_user(user) == found


async def test_the_configurations_of_the_last_images_need_not_be_read_again(tmp_path: Path) -> None:
    store = ImageStore(tmp_path, MemoryImageRecords(), NoSync(), "", ())
    store.blobs.prepare()
    roots, images = ImageRoots(store), [await add(store, number) for number in range(17)]
    for image in images:
        assert (await roots.root(image)).config == {"User": image.user}
        store.blobs.path(digest_of(content(image.user))).unlink()
    assert (await roots.root(images[-1])).config == {"User": "16"}
    with pytest.raises(NotFoundError):  # as if the image had been removed meanwhile
        await roots.root(images[0])


async def test_an_empty_configuration_need_not_be_read_again(tmp_path: Path) -> None:
    store = ImageStore(tmp_path, MemoryImageRecords(), NoSync(), "", ())
    store.blobs.prepare()
    roots, image = ImageRoots(store), await keep(store, b"{}", "")
    assert (await roots.root(image)).config == {}
    store.blobs.path(digest_of(b"{}")).unlink()
    assert (await roots.root(image)).config == {}


async def add(store: ImageStore, number: int) -> ImageRecord:
    return await keep(store, content(str(number)), str(number))


async def keep(store: ImageStore, document: bytes, user: str) -> ImageRecord:
    digest = digest_of(document)
    await store.blobs.add(document, digest)
    return ImageRecord(id=digest, manifest="", documents=(), packed=(), chain=(), size=0, created_at=1, user=user)


def content(user: str) -> bytes:
    return b'{"config": {"User": "%s"}}' % user.encode()
