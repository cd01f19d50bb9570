"""What the kernel is asked to tell of."""

import select
from contextlib import closing
from pathlib import Path

import pytest

from cni_runtime.conf.inotify import open_watches


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A configuration directory with a linked file in it."""
    directory = tmp_path / "cni" / "net.d"
    directory.mkdir(parents=True)
    (directory / "10.conflist").write_text("{}")
    (tmp_path / "linked").write_text("{}")
    (directory / "20.conflist").symlink_to(tmp_path / "linked")
    return directory


def _is_told_of(file: Path, directory: Path) -> bool:
    """Whether one who watches ``directory`` is woken when something is written to ``file``."""
    with closing(open_watches(directory)) as watches:
        file.write_text("more")
        return bool(select.select([watches._inotify.fd], [], [], 0)[0])


def test_what_is_written_to_files_of_the_directory_is_told(directory: Path, tmp_path: Path) -> None:
    for file in (directory / "10.conflist", directory / "30.conflist", tmp_path / "linked"):
        assert _is_told_of(file, directory)


def test_what_is_written_to_files_beside_the_way_there_is_not_told(directory: Path) -> None:
    beside = directory.parent / "log"
    beside.touch()
    assert not _is_told_of(beside, directory)


def test_a_file_in_the_place_of_a_directory_is_told(tmp_path: Path) -> None:
    assert _is_told_of(tmp_path / "cni", tmp_path / "cni" / "net.d")
