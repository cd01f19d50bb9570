"""Which way mounts propagate at a path. Source: mount_namespaces(7), proc_pid_mountinfo(5)."""

from __future__ import annotations

import os
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path

from crishim.drivers import threads
from crishim.drivers.mounts import parse_mountinfo
from crishim.drivers.syscalls import system_call

_MOUNTINFO = Path("/proc/self/mountinfo")


class Propagation(StrEnum):
    """Of a mount: to and from its peers, from its peers only, or not at all."""

    SHARED = "shared"
    SLAVE = "slave"
    PRIVATE = "private"


async def propagations_of(*paths: str) -> dict[str, Propagation]:
    """How mounts propagate at each path: that of the mount it lies on; a symbolic link is followed."""
    return await threads.run(_propagations_of, paths) if paths else {}


def find_propagation(mountinfo: str, path: str) -> Propagation:
    """The same of the real path ``path``, in the text of ``/proc/PID/mountinfo``."""
    found, depth = Propagation.PRIVATE, -1
    for mount, line in zip(parse_mountinfo(mountinfo), mountinfo.split("\n"), strict=False):
        point = mount.point.rstrip("/")
        if f"{path}/".startswith(f"{point}/") and len(point) >= depth:  # of several at one point the last is seen
            found, depth = _kind(line), len(point)
    return found


def _kind(line: str) -> Propagation:
    optional = line.partition(" - ")[0].split(" ")[6:]
    if any(field.startswith("shared:") for field in optional):
        return Propagation.SHARED
    return Propagation.SLAVE if any(field.startswith("master:") for field in optional) else Propagation.PRIVATE


def _propagations_of(paths: Iterable[str]) -> dict[str, Propagation]:
    with system_call("read", str(_MOUNTINFO)):
        mountinfo = os.fsdecode(_MOUNTINFO.read_bytes())
    return {path: find_propagation(mountinfo, os.path.realpath(path)) for path in paths}
