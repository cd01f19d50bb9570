"""Removing what a container has made."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from crishim.drivers.tree_removal import remove_tree_at
from crishim.testing.memory import traced_memory
from crishim.testing.trees import crowd, nest

DEEP = 100  # deeper than it is removed without moving anything


@pytest.fixture
def top(tmp_path: Path) -> Path:
    path = tmp_path / "top"
    path.mkdir()
    return path


def test_names_are_not_remembered(top: Path) -> None:
    crowd(top)
    with traced_memory() as peak:
        remove_tree_at(str(top), None)
        assert peak() < 100_000
    assert not top.exists()


def test_a_tree_that_is_deep_and_wide_is_removed(top: Path) -> None:
    place = top
    for _ in range(DEEP):
        for number in range(3):
            (place / f"directory{number}").mkdir()
            (place / f"directory{number}/file").touch()
        place /= "directory1"
    remove_tree_at(str(top), None)
    assert not top.exists()


def test_it_ends_when_there_is_always_more(top: Path) -> None:
    """As what is moved up from the depth is more, to be found when the top is read again."""
    nest(top, DEEP)
    with pytest.raises(OSError, match=str(top)) as raised:
        remove_tree_at(str(top), None, again=1)
    assert raised.value.errno == errno.ENOTEMPTY
    remove_tree_at(str(top), None)
    assert not top.exists()
