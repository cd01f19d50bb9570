"""Device nodes of the machine."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct

from crishim.core.errors import InvalidArgumentError
from crishim.drivers import threads

DEV = "/dev"

# Directories of /dev that belong to one mount namespace, and what an OCI runtime makes for every container.
_NOT_OF_THE_NODE = frozenset({"pts", "shm", "mqueue", "fd", ".lxc", ".lxd-mounts", ".udev"})
_OF_THE_RUNTIME = frozenset({"console", "full", "null", "ptmx", "random", "tty", "urandom", "zero"})
_KINDS = {stat.S_IFCHR: "c", stat.S_IFBLK: "b", stat.S_IFIFO: "p"}


class DeviceNode(Struct, frozen=True):
    """One device; ``kind`` is ``c`` (character), ``b`` (block) or ``p`` (FIFO), ``mode`` its permission bits."""

    path: str
    kind: str
    major: int
    minor: int
    mode: int = 0o666
    uid: int = 0
    gid: int = 0


async def stat_device(path: str) -> tuple[DeviceNode, ...]:
    """The device at ``path``, or every one below it when it is a directory; a symbolic link is followed.

    The paths of the answer begin with ``path`` as it was given. Raises InvalidArgumentError when there is none.
    """
    return await threads.run(_stat_device, path)


def node_devices(directory: str = DEV) -> tuple[DeviceNode, ...]:
    """All devices of the node but those that every container has anyhow; what goes away meanwhile is left out."""
    return tuple(_below(directory, _NOT_OF_THE_NODE | _OF_THE_RUNTIME))


def read_device(path: str) -> DeviceNode | None:
    """The device at ``path`` itself; None when it is no device. Raises OSError when it is not there."""
    found = os.lstat(path)
    kind = _KINDS.get(stat.S_IFMT(found.st_mode))
    if kind is None:
        return None
    major, minor = os.major(found.st_rdev), os.minor(found.st_rdev)
    return DeviceNode(path, kind, major, minor, stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid)


def _stat_device(path: str) -> tuple[DeviceNode, ...]:
    real = os.path.realpath(path)
    try:
        device = read_device(real)
    except OSError as error:
        raise InvalidArgumentError(f"device {path}: {error.strerror}") from error
    found = (device,) if device else tuple(_below(real, _NOT_OF_THE_NODE)) if Path(real).is_dir() else ()
    if not found:
        raise InvalidArgumentError(f"device {path}: neither a device nor a directory with devices")
    return tuple(DeviceNode(path + each.path.removeprefix(real), *_rest(each)) for each in found)


def _rest(device: DeviceNode) -> tuple[str, int, int, int, int, int]:
    return device.kind, device.major, device.minor, device.mode, device.uid, device.gid


def _below(directory: str, skipped: frozenset[str]) -> Iterator[DeviceNode]:
    with os.scandir(directory) as entries:
        listed = sorted(entries, key=lambda entry: entry.name)
    for entry in listed:
        if entry.name in skipped:
            continue
        try:
            if entry.is_dir(follow_symlinks=False):
                yield from _below(entry.path, skipped)
            elif device := read_device(entry.path):
                yield device
        except OSError:  # devices come and go
            continue
