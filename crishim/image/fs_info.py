"""ImageFsInfo: what images and containers take on their file systems."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import anyio

from crishim.core.clock import monotonic
from crishim.core.tasks import InFlight, TaskOwner
from crishim.drivers import threads
from crishim.drivers.syscalls import system_call
from crishim.drivers.tree import tree_usage
from crishim.image.store.store import ImageStore

_FRESH = 10.0
_PATIENCE = 5.0  # a kubelet that has no answer within two minutes does not start
_SHARE = 4  # a large tree on a slow disk is left alone for so many times as long as it took to count


@dataclass(frozen=True)
class FilesystemUsage:
    """One file system: a path on it, bytes and inodes in use there by us, nanoseconds since the epoch."""

    mountpoint: str
    used_bytes: int
    inodes_used: int
    timestamp: int


def image_usage(store: ImageStore, mountpoint: str) -> FilesystemUsage:
    """What all blobs and layers take, as counted when they were made; asks no disk."""
    usage = store.usage()
    return FilesystemUsage(mountpoint, usage.bytes, usage.inodes, time.time_ns())


def image_mountpoint(images: Path, containers: Path) -> str:
    """The path that names the file system of ``images``: ``containers``, which is made, where that is on the same one.

    Some kubelets compare the two names as text, and take different ones for two disks.
    """
    with system_call("make", str(containers)):
        containers.mkdir(mode=0o711, parents=True, exist_ok=True)
        return str(containers if images.stat().st_dev == containers.stat().st_dev else images)


class TreeUsage:
    """What a directory tree takes, counted now and then only: kubelet asks often, and counting may take minutes."""

    def __init__(
        self,
        root: Path,
        owner: TaskOwner,
        clock: Callable[[], float] = monotonic,
        measure: Callable[[Path], tuple[int, int]] = tree_usage,
        patience: float = _PATIENCE,
    ) -> None:
        """A caller waits for ``patience`` seconds at most."""
        self.root, self._clock, self._measure, self._patience = root, clock, measure, patience
        self._in_flight = InFlight(owner)
        self._due, self._last = -math.inf, FilesystemUsage(str(root), 0, 0, time.time_ns())

    async def __call__(self) -> FilesystemUsage:
        """The usage, not older than ten seconds if counting is quick; no tree, and what is mounted in it, is nothing.

        Who asks while it is being counted waits for that; it goes on when nobody waits any more. When it takes too
        long, the answer is what was counted last, or nothing.
        """
        if self._clock() > self._due:
            with anyio.move_on_after(self._patience):
                await self._in_flight.run("images usage", self._count)
        return self._last

    async def _count(self) -> None:
        began = self._clock()
        used, inodes = await threads.run_alone(self._measure, self.root)
        self._last = FilesystemUsage(str(self.root), used, inodes, time.time_ns())
        ended = self._clock()
        self._due = ended + max(_FRESH, _SHARE * (ended - began))
