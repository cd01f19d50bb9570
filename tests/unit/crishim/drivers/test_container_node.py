"""What containers get of the node."""

from __future__ import annotations

from pathlib import Path

import pytest

from crishim.core.errors import SystemCallError
from crishim.drivers.container_node import ContainerNode
from crishim.drivers.overlay import OverlayDriver


@pytest.fixture
def node(tmp_path: Path) -> ContainerNode:
    return ContainerNode(OverlayDriver(tmp_path))


async def test_missing_directories_are_made_and_what_is_there_stays(node: ContainerNode, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("kept")
    (tmp_path / "nowhere").symlink_to("/nosuch")
    await node.make_missing_dirs(*(str(tmp_path / name) for name in ("a/b", "file", "nowhere")))
    assert (tmp_path / "a/b").is_dir()
    assert (tmp_path / "file").read_text() == "kept"
    assert (tmp_path / "nowhere").is_symlink()


async def test_another_may_make_the_same_directory_meanwhile(node: ContainerNode, tmp_path: Path) -> None:
    """Not to be found at first, for ``new`` is missing; there when it is to be made, as if another had been quicker."""
    (tmp_path / "shared").mkdir()
    await node.make_missing_dirs(str(tmp_path / "new/../shared"))
    assert (tmp_path / "shared").is_dir()


async def test_a_directory_that_can_not_be_made_is_named(node: ContainerNode, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SystemCallError, match="file/a"):
        await node.make_missing_dirs(str(tmp_path / "file/a"))
