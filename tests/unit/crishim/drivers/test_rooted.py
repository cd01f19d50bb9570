"""Reading from a root file system that may be hostile."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from crishim.core.errors import InvalidArgumentError
from crishim.drivers.rooted import read_in_root


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "secret").write_text("outside")
    (tmp_path / "root" / "etc").mkdir(parents=True)
    return tmp_path / "root"


async def test_files_are_read(root: Path) -> None:
    (root / "etc" / "passwd").write_text("root:x:0:0")
    (root / "etc" / "group").write_text("staff:x:50:")
    assert await read_in_root(str(root), "/etc/passwd", "/etc/group") == ("root:x:0:0", "staff:x:50:")


@pytest.mark.parametrize("path", ["/etc/passwd", "/nosuch/passwd"])
async def test_no_file_is_empty(root: Path, path: str) -> None:
    assert await read_in_root(str(root), path) == ("",)


@pytest.mark.parametrize("target", ["/secret", "../../secret", "/../secret"])
async def test_a_link_does_not_lead_out(root: Path, target: str) -> None:
    (root / "etc" / "passwd").symlink_to(target)
    assert await read_in_root(str(root), "/etc/passwd") == ("",)


async def test_a_link_inside_is_followed_from_the_root(root: Path) -> None:
    (root / "passwd").write_text("inside")
    (root / "etc" / "passwd").symlink_to("/passwd")
    assert await read_in_root(str(root), "/etc/passwd") == ("inside",)


async def test_a_fifo_is_refused_at_once(root: Path) -> None:
    os.mkfifo(root / "etc" / "passwd")
    with pytest.raises(InvalidArgumentError, match="regular file"):
        await read_in_root(str(root), "/etc/passwd")


async def test_what_is_no_file_is_not_even_opened(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A device does something when it is opened; a socket fails."""
    monkeypatch.chdir(root / "etc")
    with socket.socket(socket.AF_UNIX) as unix:
        unix.bind("passwd")
    with pytest.raises(InvalidArgumentError, match="regular file"):
        await read_in_root(str(root), "/etc/passwd")
