"""Small layers that would make much: memory, files, bytes on the disk, work."""

from __future__ import annotations

import sys
import tarfile
from collections import Counter
from pathlib import Path

import pytest

from crishim.image.errors import LimitError
from crishim.image.settings import Limits
from crishim.testing.images import directory, file, hard_link, opaque, symlink, tar, whiteout
from crishim.testing.memory import traced_memory
from tests.netns.image.lab import unpack, unpack_all


def _peak_of_unpacking(root: Path, layer: bytes) -> int:
    with traced_memory() as peak:
        unpack(root, layer, [root.parent])
        return peak()


def test_deep_directories_take_no_memory(tmp_path: Path) -> None:
    deep = "/".join(1000 * ["ab"])
    members = [make(f"{deep}/{number}") for number in range(300) for make in (directory, opaque)]
    members.append(file("ab"))  # pytest cannot remove what is so deep
    peak = _peak_of_unpacking(tmp_path / "l", tar(members, dialect=tarfile.GNU_FORMAT))
    assert peak < 16 << 20


def test_directories_that_no_entry_lists_count_as_files(tmp_path: Path) -> None:
    members = [file("/".join([str(number)] * 20)) for number in range(4)]
    with pytest.raises(LimitError, match="more than the allowed 50 files"):
        unpack(tmp_path / "l", members, limits=Limits(max_entries=50))
    made = unpack(tmp_path / "m", members, limits=Limits(max_entries=80))
    assert (made.inodes, made.used_bytes) == (80, 4 * 19 * 4096)


def test_a_sparse_file_is_sparse_in_the_layer_that_links_it(tmp_path: Path) -> None:
    lower = tmp_path / "lower"
    lower.mkdir()
    with (lower / "a").open("wb") as sparse:
        sparse.truncate(1 << 30)
        sparse.seek(1 << 29)
        sparse.write(b"middle")
    unpack(tmp_path / "l", [hard_link("b", "a")], [lower])
    made = (tmp_path / "l/b").stat()
    assert (made.st_size, made.st_blocks < 100) == (1 << 30, True)
    with (tmp_path / "l/b").open("rb") as copy:
        copy.seek((1 << 29) - 1)
        assert copy.read(8) == b"\0middle\0"


def test_what_is_copied_out_of_lower_layers_has_a_limit(tmp_path: Path) -> None:
    lower = unpack_all(tmp_path, [[file(name, bytes(8192)) for name in "abc"]])
    links = [hard_link(f"{name}2", name) for name in "abc"]
    with pytest.raises(LimitError, match="lower layers"):
        unpack(tmp_path / "l", links, lower, Limits(max_unpacked_bytes=20_000))
    assert unpack(tmp_path / "m", links, lower, Limits(max_unpacked_bytes=30_000)).inodes == 3


def _calls_of_unpacking(directory: Path, depth: int) -> int:
    """How many functions written in C, system calls that is, it takes to make things ``depth`` directories deep."""
    directory.mkdir()
    deep = "/".join(depth * "d")
    lower = unpack_all(directory, [[file(f"{deep}/{name}")] for name in "abc"])
    changes = [whiteout(f"{deep}/a"), hard_link("l", f"{deep}/b"), symlink(f"{deep}/u", "../" * depth), opaque(deep)]
    members = [*changes, file(f"{deep}/u/x/f"), file(f"x/{deep}/f")]
    calls: Counter[str] = Counter()
    sys.setprofile(lambda _frame, event, _argument: calls.update((event,)))
    try:
        unpack(directory / "l", tar(members, dialect=tarfile.GNU_FORMAT), lower)
    finally:
        sys.setprofile(None)
    return calls["c_call"]


def test_an_entry_twice_as_deep_takes_twice_the_work(tmp_path: Path) -> None:
    assert _calls_of_unpacking(tmp_path / "deep", 200) < 3 * _calls_of_unpacking(tmp_path / "flat", 100)


def test_all_paths_together_have_a_limit(tmp_path: Path) -> None:
    deep = "/".join(100 * "d")
    members = [file(f"{deep}/{number % 70}/{number}") for number in range(200)]  # no more than 64 are kept open
    with pytest.raises(LimitError, match="more directories than allowed"):
        unpack(tmp_path / "l", members, limits=Limits(max_entries=500))
    assert unpack(tmp_path / "m", members, limits=Limits(max_entries=4000)).inodes == 100 + 70 + 200
