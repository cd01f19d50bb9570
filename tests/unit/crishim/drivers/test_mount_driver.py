from __future__ import annotations

from pathlib import Path

import pytest

from crishim.core.errors import InvalidArgumentError, SystemCallError
from crishim.drivers.mount_driver import MountDriver
from crishim.model.files import FileTree
from crishim.testing.mounts import FakeMounts
from crishim.testing.trees import nest

pytestmark = pytest.mark.anyio


def of_file(path: Path, content: bytes = b"") -> FileTree:
    return FileTree(directories=(), files={str(path): content})


def names(directory: Path) -> list[str]:
    return [path.name for path in directory.iterdir()]


async def test_a_file_is_replaced_whole_with_its_mode(tmp_path: Path) -> None:
    target = tmp_path / "hosts"
    for content in (b"old", b"new"):
        await MountDriver().make_tree(of_file(target, content))
    assert (target.read_bytes(), target.stat().st_mode & 0o777) == (b"new", 0o644)
    assert names(tmp_path) == ["hosts"]


async def test_a_failed_write_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "directory").mkdir()
    with pytest.raises(SystemCallError, match=r"write .*directory: EISDIR"):
        await MountDriver().make_tree(of_file(tmp_path / "directory"))
    assert names(tmp_path) == ["directory"]


async def test_users_of_the_node_are_shut_out_of_a_tree(tmp_path: Path) -> None:
    directory = tmp_path / "sandboxes/pod"
    await MountDriver().make_tree(FileTree(directories=[str(directory)], files={}))
    assert directory.stat().st_mode & 0o777 == 0o700


async def test_a_directory_gets_its_mode_whenever_asked(tmp_path: Path) -> None:
    directory = tmp_path / "a/b"
    for mode in (0o711, 0o777):
        await MountDriver().make_dir(str(directory), mode)
        assert directory.stat().st_mode & 0o777 == mode


async def test_a_tree_is_removed_and_removed_again(tmp_path: Path) -> None:
    await MountDriver().make_dir(str(tmp_path / "a/b"), 0o755)
    await MountDriver().make_tree(of_file(tmp_path / "a/b/c"))
    for _ in range(2):
        await MountDriver().remove_trees(str(tmp_path / "a"))
        assert names(tmp_path) == []


@pytest.mark.parametrize("path", ["/", "relative", "/run/../etc", "/run//x", "/run/x/", ""])
async def test_a_path_that_may_be_another_is_not_removed(path: str) -> None:
    with pytest.raises(InvalidArgumentError, match="absolute path"):
        await MountDriver().remove_trees(path)


async def test_a_tree_deeper_than_functions_nest_is_removed(tmp_path: Path) -> None:
    """What a container makes, it makes from within: no path is that long."""
    top = tmp_path / "deep"
    top.mkdir()
    nest(top, 1500)
    await MountDriver().remove_trees(str(top))
    assert names(tmp_path) == []


async def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "link").symlink_to("kept")
    with pytest.raises(SystemCallError, match="ELOOP"):
        await MountDriver().remove_trees(str(tmp_path / "link"))
    assert (tmp_path / "kept").is_dir()


async def test_unmounting_what_is_not_mounted_is_fine(tmp_path: Path) -> None:
    await MountDriver().unmount(str(tmp_path / "nothing"))


@pytest.mark.parametrize("mounts", [MountDriver(), FakeMounts()])
async def test_a_file_needs_its_directory(mounts: MountDriver | FakeMounts, tmp_path: Path) -> None:
    with pytest.raises(SystemCallError, match="ENOENT"):
        await mounts.make_tree(of_file(tmp_path / "nowhere/file"))
