"""Small layers that would make much: memory, files, bytes on the disk."""

from __future__ import annotations

import tarfile
import tracemalloc
from pathlib import Path

from crishim.testing.images import directory, opaque, tar
from tests.netns.image.lab import unpack


def _peak_of_unpacking(root: Path, layer: bytes) -> int:
    tracemalloc.start()
    try:
        unpack(root, layer, [root.parent])
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_deep_directories_take_no_memory(tmp_path: Path) -> None:
    deep = "/".join(1000 * ["ab"])
    members = [make(f"{deep}/{number}") for number in range(300) for make in (directory, opaque)]
    members.append(file("ab"))  # pytest cannot remove what is so deep
    peak = _peak_of_unpacking(tmp_path / "l", tar(members, dialect=tarfile.GNU_FORMAT))
    assert peak < 16 << 20
