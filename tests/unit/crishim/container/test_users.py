"""The files with an image's users are read once, unless they are large."""

import pytest

from crishim.container.users import ImageUsers, UserFiles
from crishim.model.image import ImageRoot
from crishim.testing.container_world import BUSYBOX, FakeNode


@pytest.mark.parametrize(("size", "reads"), [(10, 1), (1 << 16, 1), ((1 << 16) + 1, 2)])
async def test_they_are_kept(size: int, reads: int) -> None:
    node = FakeNode()
    node.files = {"/etc/passwd": size * "x"}
    users = ImageUsers(node)
    for _ in range(2):
        assert await users.of(BUSYBOX, "/r") == UserFiles(size * "x", "")
    assert node.reads == reads


async def test_every_image_has_its_own() -> None:
    node = FakeNode()
    users = ImageUsers(node)
    await users.of(BUSYBOX, "/r")
    node.files = {"/etc/group": "other:x:1:"}
    assert await users.of(ImageRoot("sha256:other", "other:1", (), {}), "/r") == UserFiles("", "other:x:1:")
