"""Which way mounts propagate at a path. Source: mount_namespaces(7), proc_pid_mountinfo(5)."""

from __future__ import annotations

import os
from collections.abc import Iterable
from enum import StrEnum

from crishim.drivers import threads
from crishim.drivers.mounts import Mount, read_mounts


class Propagation(StrEnum):
    """Of a mount: to and from its peers, from its peers only, or not at all."""

    SHARED = "shared"
    SLAVE = "slave"
    PRIVATE = "private"


async def propagations_of(*paths: str) -> dict[str, Propagation]:
    """How mounts propagate at each path: that of the mount it lies on; a symbolic link is followed."""
    return await threads.run(_propagations_of, paths) if paths else {}


def find_propagation(mounts: Iterable[Mount], path: str) -> Propagation:
    """The same of the real path ``path`` among ``mounts``, in the order they were made."""
    found, depth = Propagation.PRIVATE, -1
    for mount in mounts:
        point = mount.point.rstrip("/")
        if f"{path}/".startswith(f"{point}/") and len(point) >= depth:  # of several at one point the last is seen
            found, depth = _kind(mount), len(point)
    return found


def _kind(mount: Mount) -> Propagation:
    if any(field.startswith("shared:") for field in mount.optional):
        return Propagation.SHARED
    return Propagation.SLAVE if any(field.startswith("master:") for field in mount.optional) else Propagation.PRIVATE


def _propagations_of(paths: Iterable[str]) -> dict[str, Propagation]:
    mounts = read_mounts()
    return {path: find_propagation(mounts, os.path.realpath(path)) for path in paths}
