"""ImageFsInfo: what images and containers take on their file systems."""

from __future__ import annotations

import os
import stat
import time
from dataclasses import dataclass
from pathlib import Path

from crishim.drivers import threads
from crishim.image.store.store import ImageStore

_FRESH = 10.0


@dataclass(frozen=True)
class FilesystemUsage:
    """One file system: a path on it, bytes and inodes in use there by us, nanoseconds since the epoch."""

    mountpoint: str
    used_bytes: int
    inodes_used: int
    timestamp: int


def image_usage(store: ImageStore) -> FilesystemUsage:
    """What all blobs and layers take, as counted when they were made; asks no disk."""
    usage = store.usage()
    return FilesystemUsage(str(store.root), usage.bytes, usage.inodes, time.time_ns())


class TreeUsage:
    """What a directory tree takes, counted at most every few seconds: kubelet asks often, and counting takes long."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._last = FilesystemUsage(str(root), 0, 0, 0)

    async def __call__(self) -> FilesystemUsage:
        """The usage, not older than ten seconds. What is mounted inside the tree does not count; no tree is nothing."""
        if time.time_ns() - self._last.timestamp > _FRESH * 1e9:
            used, inodes = await threads.run_alone(tree_usage, self._root)
            self._last = FilesystemUsage(str(self._root), used, inodes, time.time_ns())
        return self._last


def tree_usage(root: Path) -> tuple[int, int]:
    """Bytes on disk and inodes of the tree at ``root``, each file once; what vanishes meanwhile is left out. Blocks."""
    used, seen, device, todo = 0, set[int](), -1, [root]
    while todo:
        path = todo.pop()
        try:
            status = path.lstat()
            if device == -1:
                device = status.st_dev
            if status.st_dev != device or status.st_ino in seen:
                continue
            seen.add(status.st_ino)
            used += status.st_blocks * 512
            if stat.S_ISDIR(status.st_mode):
                todo.extend(path / name for name in os.listdir(path))  # noqa: PTH208 - names are enough
        except OSError:
            continue
    return used, len(seen)
