"""ImageFsInfo: what images and containers take on their file systems."""

from __future__ import annotations

import time
from dataclasses import dataclass

from crishim.image.store.store import ImageStore


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
