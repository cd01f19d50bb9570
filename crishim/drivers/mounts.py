"""The mounts of this process: which there are, sharing them, and taking them away."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import time
from pathlib import Path
from typing import NamedTuple

from crishim.drivers import syscalls
from crishim.drivers.syscalls import system_call

_MOUNTINFO = Path("/proc/self/mountinfo")
_ESCAPED = frozenset(" \t\n\\#")  # written as three octal digits
_OCTAL = re.compile(r"\\([0-7]{3})")
_LOCK_ATTEMPTS, _LOCK_PAUSE = 100, 0.01  # seconds


class Mount(NamedTuple):
    """One mount: where, the type of its file system, and its optional fields, such as ``shared:1``."""

    point: str
    filesystem: str
    optional: tuple[str, ...] = ()


def make_shared(directory: str) -> None:
    """Make ``directory`` a mount point whose mounts and unmounts reach the mount namespaces copied from this one."""
    with system_call("make shared mount", directory):
        if _share(directory):
            return
        handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            _lock(handle)
            if not _share(directory):
                syscalls.mount(directory, directory, "", syscalls.MS_BIND | syscalls.MS_REC)
                _share(directory)
        finally:
            os.close(handle)


def _share(directory: str) -> bool:
    """Make the mount at ``directory`` shared; False when there is none."""
    try:
        syscalls.mount("", directory, "", syscalls.MS_SHARED)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        return False
    return True


def _lock(directory: int) -> None:
    """Take the lock that ``ip netns`` takes: without it two of us could each put a mount there, which is no harm.

    Any user of the node may have it and keep it, so it is not waited for long.
    """
    for _ in range(_LOCK_ATTEMPTS):
        try:
            fcntl.flock(directory, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(_LOCK_PAUSE)
        else:
            return


def unmount_all(path: str) -> None:
    """Unmount until nothing is mounted at ``path``; files still open there keep working."""
    with system_call("umount", path):
        try:
            while True:
                syscalls.umount2(path, syscalls.MNT_DETACH | syscalls.UMOUNT_NOFOLLOW)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.ENOENT, errno.ENOTDIR):  # EINVAL: not mounted
                raise


def parse_mountinfo(text: str) -> list[Mount]:
    """The mounts in the text of ``/proc/PID/mountinfo``, in the order they were made. See proc(5)."""
    return [_parse_mount(line) for line in text.split("\n") if line]


def read_mounts() -> list[Mount]:
    """The mounts this process sees, in the order they were made."""
    return parse_mountinfo(os.fsdecode(_read_mountinfo()))


def _parse_mount(line: str) -> Mount:
    before, _, after = line.partition(" - ")  # the optional fields end with the dash
    fields = before.split(" ")
    return Mount(point=_unescape(fields[4]), filesystem=after.split(" ")[0], optional=tuple(fields[6:]))


def _unescape(field: str) -> str:
    # Space, tab, newline and backslash are written as three octal digits.
    return _OCTAL.sub(lambda match: chr(int(match[1], 8)), field)


def mounted_under(directory: str) -> list[str]:
    """The mount points at and below ``directory``, in the order they were mounted."""
    real = os.path.realpath(directory)
    below = real.rstrip("/") + "/"
    mounts = _read_mountinfo()
    if os.fsencode(real) not in mounts and _ESCAPED.isdisjoint(real):
        return []  # it is there as it is, if at all; a node with many pods has thousands of mounts to take apart
    points = [mount.point for mount in parse_mountinfo(os.fsdecode(mounts))]
    return [point for point in points if point == real or point.startswith(below)]


def _read_mountinfo() -> bytes:
    with system_call("read", str(_MOUNTINFO)):
        return _MOUNTINFO.read_bytes()
