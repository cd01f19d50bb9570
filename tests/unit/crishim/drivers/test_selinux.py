"""Labels of files; a plain extended attribute stands for SELinux's, which needs root."""

import os
from pathlib import Path

import pytest

from crishim.core.errors import InvalidArgumentError, SystemCallError
from crishim.drivers.selinux import relabel, relabel_once
from crishim.drivers.tree import walk
from crishim.drivers.tree_removal import remove_trees
from crishim.testing.memory import traced_memory
from crishim.testing.trees import crowd, nest

pytestmark = pytest.mark.anyio

ATTRIBUTE = "user.label"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a/b/file").touch()
    (tmp_path / "outside").touch()
    (tmp_path / "a/link").symlink_to(tmp_path / "outside")
    try:
        os.setxattr(tmp_path, ATTRIBUTE, b"x")
    except OSError:
        pytest.skip("the file system has no extended attributes")
    return tmp_path


async def test_all_below(tree: Path) -> None:
    outside = os.listxattr(tree / "outside")
    # A link can hold no attribute of this kind: that it was refused shows that the link itself was meant.
    with pytest.raises(SystemCallError, match="setxattr"):
        await relabel(str(tree / "a"), "label", ATTRIBUTE)
    (tree / "a/link").unlink()
    await relabel(str(tree / "a"), "label", ATTRIBUTE)
    found = [os.getxattr(tree / name, ATTRIBUTE) for name in ("a", "a/b", "a/b/file")]
    assert found == 3 * [b"label"]
    assert os.listxattr(tree / "outside") == outside


async def test_once(tree: Path) -> None:
    (tree / "a/link").unlink()
    await relabel_once(str(tree / "a"), "label", ATTRIBUTE)
    os.setxattr(tree / "a/b", ATTRIBUTE, b"its own")
    await relabel_once(str(tree / "a"), "label", ATTRIBUTE)
    assert os.getxattr(tree / "a/b", ATTRIBUTE) == b"its own"
    await relabel_once(str(tree / "a"), "another", ATTRIBUTE)
    assert os.getxattr(tree / "a/b", ATTRIBUTE) == b"another"


async def test_once_and_nothing_below(tree: Path) -> None:
    os.setxattr(tree / "a/b", ATTRIBUTE, b"its own")
    await relabel_once(str(tree / "a"), "label", ATTRIBUTE, below=False)
    assert [os.getxattr(tree / name, ATTRIBUTE) for name in ("a", "a/b")] == [b"label", b"its own"]


async def test_once_where_a_link_leads(tree: Path) -> None:
    (tree / "a/link").unlink()
    (tree / "way").symlink_to("a")
    await relabel_once(str(tree / "way"), "label", ATTRIBUTE)
    found = [os.getxattr(tree / name, ATTRIBUTE) for name in ("a", "a/b", "a/b/file")]
    assert found == 3 * [b"label"]


async def test_once_tells_of_a_file_system_without_labels(tree: Path) -> None:
    with pytest.raises(SystemCallError, match="ENOTSUP"):
        await relabel_once(str(tree), "label", "nonsense.label")


async def test_one_file(tree: Path) -> None:
    above = os.listxattr(tree / "a/b")
    await relabel(str(tree / "a/b/file"), "label", ATTRIBUTE)
    assert os.getxattr(tree / "a/b/file", ATTRIBUTE) == b"label"
    assert os.listxattr(tree / "a/b") == above


async def test_deeper_than_any_path(tree: Path) -> None:
    top = tree / "deep"
    top.mkdir()
    nest(top, 3000)
    try:
        await relabel(str(top), "label", ATTRIBUTE)
        directory = os.open(top, os.O_RDONLY)
        found = [os.getxattr(f"/proc/self/fd/{at}/d", ATTRIBUTE) for at, _, _ in walk(directory, across_mounts=False)]
        os.close(directory)
    finally:
        remove_trees(str(top))  # what comes after a test cannot
    assert found == 3000 * [b"label"]


async def test_names_are_not_remembered(tree: Path) -> None:
    crowd(tree)
    (tree / "a/link").unlink()
    with traced_memory() as peak:
        await relabel(str(tree), "label", ATTRIBUTE)
        assert peak() < 100_000


@pytest.mark.parametrize("path", ["/", "/usr", "/var/lib/", "/var/../etc"])
async def test_not_the_node(path: str) -> None:
    with pytest.raises(InvalidArgumentError, match="the node itself needs its label"):
        await relabel(path, "label", ATTRIBUTE)
