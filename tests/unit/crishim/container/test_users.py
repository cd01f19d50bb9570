"""The files with an image's users are read once, unless they are large."""

import asyncio

import pytest

from crishim.container.users import ImageUsers, UserFiles
from crishim.model.image import ImageRoot
from crishim.testing.container_world import BUSYBOX, FakeNode, example_container


@pytest.mark.parametrize(("size", "reads"), [(10, 1), (1 << 16, 1), ((1 << 16) + 1, 2)])
async def test_they_are_kept(size: int, reads: int) -> None:
    node = FakeNode()
    node.files = {"/etc/passwd": size * "x"}
    users = ImageUsers(node)
    for _ in range(2):
        assert await users.of(BUSYBOX, "/r") == UserFiles(size * "x", "")
    assert node.reads == reads


async def test_large_files_hold_up_nobody() -> None:
    node = FakeNode()
    node.files = {"/etc/passwd": "a:x:1:1::/\n" * 100_000 + "app:x:1000:1000::/home/app:\n"}
    resolving = asyncio.create_task(ImageUsers(node).resolve(example_container(), BUSYBOX, "/r"))
    turns = 0
    while not resolving.done():
        await asyncio.sleep(0.001)
        turns += 1
    assert ((await resolving).uid, turns > 2) == (1000, True)


async def test_every_image_has_its_own() -> None:
    node = FakeNode()
    users = ImageUsers(node)
    await users.of(BUSYBOX, "/r")
    node.files = {"/etc/group": "other:x:1:"}
    assert await users.of(ImageRoot("sha256:other", "other:1", (), {}), "/r") == UserFiles("", "other:x:1:")
