"""Walking directory trees that a container has made, and may be changing; and what they take on their disk.

A tree can have millions of names in one directory, and be deeper than a path is long, than functions nest and than
files may be open. So nothing of it is remembered but the way from its top to where the walk is.
"""

from __future__ import annotations

import math
import os
import stat
from array import array
from collections.abc import Generator, Iterable
from contextlib import ExitStack, suppress
from pathlib import Path

from crishim.drivers.syscalls import RESOLVE_NO_XDEV, names_in, open_resolved

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
_KEPT_OPEN = 64  # directories, from the top

Found = tuple[int, bytes, os.stat_result]
"""The open directory that something is in, its name there, and its status."""


def tree_usage(root: Path) -> tuple[int, int]:
    """Bytes on disk and inodes of the tree at ``root``, each file once; what vanishes meanwhile is left out. Blocks.

    What is mounted in the tree is not of it.
    """
    try:
        top = os.open(root, _DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return 0, 0
    try:
        used, inodes = count(walk(top, across_mounts=False), _inodes_in_use(top))
        return used + os.fstat(top).st_blocks * 512, inodes + 1
    finally:
        os.close(top)


def count(found: Iterable[Found], most: float) -> tuple[int, int]:
    """Bytes on disk and inodes of what is found, each file once: each of its names has its share.

    To remember the files would take memory for each. What has names elsewhere too counts in part. Stops at ``most``
    inodes: then a container is moving directories from where the walk was to where it will be.
    """
    blocks = inodes = 0.0
    for _, _, status in found:
        if inodes >= most:
            break
        names = 1 if stat.S_ISDIR(status.st_mode) else max(status.st_nlink, 1)  # 0: it was just removed
        blocks += status.st_blocks / names
        inodes += 1 / names
    return round(blocks) * 512, round(inodes)


def walk(top: int, *, across_mounts: bool) -> Generator[Found, None, None]:
    """Everything below the open directory ``top``, a directory before what is in it; what cannot be read is left out.

    What is found can be used until the next is asked for. No link is followed. Only the uppermost directories stay
    open: from one below them ".." leads back. When that has been moved elsewhere meanwhile, the walk goes on in the
    lowest that is still open.
    """
    resolve, device = 0 if across_mounts else RESOLVE_NO_XDEV, os.fstat(top).st_dev
    way, closed = [_Directory(open_resolved(top, ".", _DIRECTORY, 0))], _Closed()
    try:
        while way:
            if len(way) > _KEPT_OPEN + 1:
                closed.push(way.pop(-2))
            here = way[-1]
            name = here.next_name()
            if name is None:
                parent = closed.pop(here)
                way.pop().close()
                way.extend(parent)
                continue
            try:
                status = os.stat(name, dir_fd=here.file, follow_symlinks=False)
                if not across_mounts and status.st_dev != device:
                    continue
                if stat.S_ISDIR(status.st_mode):
                    way.append(_Directory(open_resolved(here.file, name, _DIRECTORY, resolve)))
            except OSError:
                continue
            yield here.file, name, status
    finally:
        for directory in way:
            directory.close()


class _Directory:
    """An open directory that is being read; ``position`` is behind the last name."""

    def __init__(self, file: int) -> None:
        self.file, self.position = file, 0
        self._names = names_in(file)

    def next_name(self) -> bytes | None:
        try:
            name, self.position = next(self._names)
        except (StopIteration, OSError):  # it may have been removed
            return None
        return name

    def close(self) -> None:
        os.close(self.file)


class _Closed:
    """The directories of the way below those that are kept open, but for the last: there may be a million."""

    def __init__(self) -> None:
        self._identities, self._positions = array("Q"), array("q")

    def push(self, directory: _Directory) -> None:
        """Close a directory that is to be gone on with later."""
        self._identities.extend(_identity(directory.file))
        self._positions.append(directory.position)
        directory.close()

    def pop(self, below: _Directory) -> list[_Directory]:
        """The last one, opened from ``below``; none when there are no more, or when it is not there any more."""
        if not self._positions:
            return []
        position, inode, device = self._positions.pop(), self._identities.pop(), self._identities.pop()
        with suppress(OSError), ExitStack() as undo:
            file = os.open("..", _DIRECTORY | os.O_CLOEXEC, dir_fd=below.file)
            undo.callback(os.close, file)
            if _identity(file) == (device, inode):
                os.lseek(file, position, os.SEEK_SET)
                undo.pop_all()
                return [_Directory(file)]
        del self._positions[:], self._identities[:]
        return []


def _identity(file: int) -> tuple[int, int]:
    status = os.fstat(file)
    return status.st_dev, status.st_ino


def _inodes_in_use(file: int) -> float:
    """How many inodes there are on the file system; it may not know."""
    found = os.statvfs(file)
    return found.f_files - found.f_ffree or math.inf
