"""ImageFsInfo: what images and containers take on their file systems."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from crishim.core.clock import monotonic
from crishim.core.tasks import InFlight, TaskOwner
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

    def __init__(
        self,
        root: Path,
        owner: TaskOwner,
        clock: Callable[[], float] = monotonic,
        measure: Callable[[Path], tuple[int, int]] = tree_usage,
    ) -> None:
        self._root, self._clock, self._measure = root, clock, measure
        self._in_flight = InFlight(owner)
        self._counted, self._last = -math.inf, FilesystemUsage(str(root), 0, 0, 0)

    async def __call__(self) -> FilesystemUsage:
        """The usage, not older than ten seconds. What is mounted inside the tree does not count; no tree is nothing.

        Who asks while it is being counted waits for that; it goes on when nobody waits any more.
        """
        if self._clock() - self._counted > _FRESH:
            await self._in_flight.run("images usage", self._count)
        return self._last

    async def _count(self) -> None:
        used, inodes = await threads.run_alone(self._measure, self._root)
        self._last = FilesystemUsage(str(self._root), used, inodes, time.time_ns())
        self._counted = self._clock()
