"""Copying one file of a lower layer into the layer being made, as overlayfs does before a write."""

from __future__ import annotations

import errno
import os
import stat

from crishim.image.unpack.lower import Found
from crishim.image.unpack.metadata import copy_xattrs, path_of

_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_CHUNK = 1 << 30


def copy_file(found: Found, parent: int) -> None:
    """Make ``found``, which is no directory, under its own name in ``parent``, with all its metadata."""
    directory, name, status = found.directory, found.name, found.status
    if stat.S_ISLNK(status.st_mode):
        os.symlink(os.readlink(name, dir_fd=directory), name, dir_fd=parent)
    elif stat.S_ISREG(status.st_mode):
        _copy_content(directory, name, parent, status.st_size)
    else:
        os.mknod(name, stat.S_IFMT(status.st_mode) | 0o600, status.st_rdev, dir_fd=parent)
    os.chown(name, status.st_uid, status.st_gid, dir_fd=parent, follow_symlinks=False)
    if not stat.S_ISLNK(status.st_mode):
        os.chmod(name, stat.S_IMODE(status.st_mode), dir_fd=parent)
    copy_xattrs(path_of(directory, name), path_of(parent, name))
    os.utime(name, ns=(status.st_atime_ns, status.st_mtime_ns), dir_fd=parent, follow_symlinks=False)


def _copy_content(directory: int, name: bytes, parent: int, size: int) -> None:
    source = os.open(name, _READ, dir_fd=directory)
    try:
        destination = os.open(name, _CREATE, 0o600, dir_fd=parent)
        try:
            os.ftruncate(destination, size)
            position = 0
            while (position := _next_data(source, position)) < size:
                end = os.lseek(source, position, os.SEEK_HOLE)
                count = min(end - position, _CHUNK)
                position += os.copy_file_range(source, destination, count, position, position)
        finally:
            os.close(destination)
    finally:
        os.close(source)


def _next_data(file: int, position: int) -> int:
    """Where data begins at or after ``position``: a hole of terabytes cost its layer nothing, a copy of it would."""
    try:
        return os.lseek(file, position, os.SEEK_DATA)
    except OSError as exc:
        if exc.errno != errno.ENXIO:
            raise
        return os.fstat(file).st_size
