"""ImageFsInfo: what images and containers take on their file systems."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from crishim.drivers import threads
from crishim.drivers.tree import tree_usage
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
