"""Trees as a container may make them, and change them while they are walked."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import repeat
from pathlib import Path

import pytest

from crishim.drivers.tree import count, tree_usage, walk
from crishim.drivers.tree_removal import remove_trees
from crishim.testing.memory import traced_memory
from crishim.testing.trees import crowd, nest

DEEP = 100  # deeper than directories are kept open


@contextmanager
def opened(path: Path) -> Iterator[int]:
    file = os.open(path, os.O_RDONLY)
    yield file
    os.close(file)


def test_a_tree_is_measured_to_its_leaves(tmp_path: Path) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a/b/file").write_bytes(b"x" * 100_000)
    used, inodes = tree_usage(tmp_path)
    assert (used >= 100_000, inodes) == (True, 4)


def test_a_tree_that_is_gone_has_nothing(tmp_path: Path) -> None:
    assert tree_usage(tmp_path / "gone") == (0, 0)


def test_each_file_counts_once_and_no_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "top").mkdir()
    (tmp_path / "top/file").write_bytes(b"x" * 100_000)
    (tmp_path / "top/same").hardlink_to(tmp_path / "top/file")
    (tmp_path / "top/link").symlink_to(tmp_path / "outside")
    used, inodes = tree_usage(tmp_path / "top")
    assert (used < 200_000, inodes) == (True, 3)


def test_a_tree_deeper_than_any_path_is_measured(tmp_path: Path) -> None:
    top = tmp_path / "deep"
    top.mkdir()
    nest(top, 3000)
    found = tree_usage(top)
    remove_trees(str(top))  # what comes after a test cannot
    assert found[1] == 3001


def test_nothing_is_missed_beside_the_way_down(tmp_path: Path) -> None:
    place = tmp_path
    for _ in range(DEEP):
        for name in range(4):
            (place / f"directory{name}").mkdir()
        place /= "directory2"
    assert tree_usage(tmp_path)[1] == 1 + 4 * DEEP


def test_names_are_not_remembered(tmp_path: Path) -> None:
    crowd(tmp_path)
    with traced_memory() as peak:
        assert tree_usage(tmp_path)[1] == 4001
        assert peak() < 100_000


def test_files_with_several_names_are_not_remembered(tmp_path: Path) -> None:
    for number in range(4000):
        (tmp_path / f"file{number}").touch()
        for other in range(number % 3):
            (tmp_path / f"file{number}.{other}").hardlink_to(tmp_path / f"file{number}")
    with traced_memory() as peak:
        assert tree_usage(tmp_path)[1] == 4001
        assert peak() < 100_000


@pytest.mark.parametrize("levels", [5, DEEP])
def test_what_is_moved_away_leads_nowhere_else(tmp_path: Path, levels: int) -> None:
    top, outside = tmp_path / "top", tmp_path / "outside"
    for path in (top, outside):
        path.mkdir()
    nest(top, levels)
    lowest = top / "/".join(levels * "d")
    for path, kind in ((top, "high"), (lowest.parent.parent, "low"), (outside, "secret")):
        for number in range(100):  # wherever "d" is in the order of a directory, some come after it
            (path / f"{kind}{number}").touch()
    (lowest / "end").touch()
    found: list[bytes] = []
    with opened(top) as directory:
        for _, name, _ in walk(directory, across_mounts=False):
            found.append(name)
            if name == b"end":
                lowest.parent.rename(outside / "moved")
    assert {name.rstrip(b"0123456789") for name in found} <= {b"d", b"high", b"low", b"end"}
    assert (found.count(b"d"), sum(name.startswith(b"high") for name in found)) == (levels, 100)


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_a_walk_that_is_left_closes_its_files(tmp_path: Path) -> None:
    nest(tmp_path, DEEP)
    with opened(tmp_path) as directory:
        before = open_files()
        found = walk(directory, across_mounts=True)
        for _ in range(DEEP):
            next(found)
        found.close()
        assert open_files() == before


def test_directories_that_are_moved_ahead_are_not_counted_for_ever(tmp_path: Path) -> None:
    assert count(repeat((0, b"", tmp_path.stat())), 10)[1] == 10
