"""Small files read with a limit and replaced as a whole."""

import os
from pathlib import Path

import pytest

from cni_runtime.files import partial_path, read_regular, remove, replace


def test_a_file_is_replaced_and_read(tmp_path: Path) -> None:
    path = tmp_path / "a"
    replace(path, b"one")
    replace(path, b"two", 0o644)
    assert read_regular(path, 3) == b"two"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a"]


def test_what_a_crash_left_is_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "a"
    partial_path(path).write_bytes(b"x" * 100)
    replace(path, b"one")
    assert path.read_bytes() == b"one"


def test_the_mode_is_as_asked(tmp_path: Path) -> None:
    replace(tmp_path / "a", b"")
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o600


def test_a_large_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"1234")
    with pytest.raises(OSError, match="larger than 3 bytes"):
        read_regular(tmp_path / "a", 3)


def test_a_pipe_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a")
    with pytest.raises(OSError, match="not a regular file"):
        read_regular(tmp_path / "a", 3)


def test_a_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="directory"):
        read_regular(tmp_path, 3)


def test_remove_takes_what_a_crash_of_replace_has_left(tmp_path: Path) -> None:
    place = tmp_path / "file"
    replace(place, b"new")
    partial_path(place).write_bytes(b"half")
    remove(place)
    remove(place)
    assert list(tmp_path.iterdir()) == []


def test_replace_sets_the_mode_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        replace(tmp_path / "file", b"", mode=0o755)
    finally:
        os.umask(before)
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o755
