"""Owner, mode, extended attributes and times of a file that was just made, in the order in which they survive.

Changing the owner drops set-id bits and ``security.capability``, so it comes first; times come last.
"""

from __future__ import annotations

import errno
import os
import stat

from crishim.image.errors import LayerError
from crishim.image.unpack.header import show
from crishim.image.unpack.reader import Entry

OVERLAY_PREFIX = "trusted.overlay."
OPAQUE_XATTR = "trusted.overlay.opaque"
_ORIGIN_XATTR = "trusted.overlay.origin"
_SELINUX_XATTR = "security.selinux"

_MAX_ID = 0xFFFF_FFFE
_MIN_TIME, _MAX_TIME = -(1 << 31) * 1_000_000_000, (1 << 33) * 1_000_000_000
_IGNORED_XATTR_ERRORS = (errno.ENOTSUP, errno.EPERM)


def check_owner(entry: Entry) -> None:
    """Raise LayerError when uid or gid are not ids the kernel has."""
    header = entry.header
    if not (0 <= header.uid <= _MAX_ID and 0 <= header.gid <= _MAX_ID):
        raise LayerError(f"tar entry {show(header.name)}: owner {header.uid}:{header.gid} is out of range")


def times(entry: Entry) -> tuple[int, int]:
    """Access and modification time in nanoseconds, within what file systems hold."""
    mtime = min(max(entry.header.mtime, _MIN_TIME), _MAX_TIME)
    return mtime, mtime


def apply_to_fd(fd: int, entry: Entry) -> None:
    """Set everything on the regular file open as ``fd``."""
    header = entry.header
    os.fchown(fd, header.uid, header.gid)
    os.fchmod(fd, header.mode)
    if entry.xattrs:
        _set_xattrs(fd, entry)
    os.utime(fd, ns=times(entry))


def apply_to_name(directory: int, name: bytes, entry: Entry, kind: int) -> None:
    """Set everything on ``name``, which is no regular file. ``kind`` is its S_IF type; a directory keeps its times."""
    header = entry.header
    os.chown(name, header.uid, header.gid, dir_fd=directory, follow_symlinks=False)
    if kind != stat.S_IFLNK:
        os.chmod(name, header.mode, dir_fd=directory)  # nothing but this process writes here: name is no link
    if entry.xattrs:
        _set_xattrs(path_of(directory, name), entry)
    if kind != stat.S_IFDIR:
        os.utime(name, ns=times(entry), dir_fd=directory, follow_symlinks=False)


def path_of(directory: int, name: bytes) -> bytes:
    """A path for the calls that take no directory descriptor; its last component is never followed."""
    return b"/proc/self/fd/%d/%b" % (directory, name)


def set_opaque(directory: int, name: bytes) -> None:
    """Make the directory hide everything of the lower layers."""
    os.setxattr(path_of(directory, name), OPAQUE_XATTR, b"y", follow_symlinks=False)


def announce_whiteouts(directory: int) -> None:
    """Let overlayfs leave the whiteouts out of a list of the open ``directory`` that an entry to come makes opaque.

    It looks for them only in what it joins of several layers, and where there is an origin. Empty, that is unknown.
    """
    os.setxattr(path_of(directory, b"."), _ORIGIN_XATTR, b"", follow_symlinks=False)


def copy_xattrs(source: bytes, destination: bytes) -> None:
    """Copy the extended attributes of one file to another, but for those that steer overlayfs."""
    for name in os.listxattr(source, follow_symlinks=False):
        if not name.startswith(OVERLAY_PREFIX):
            value = os.getxattr(source, name, follow_symlinks=False)
            os.setxattr(destination, name, value, follow_symlinks=False)


def _set_xattrs(file: int | bytes, entry: Entry) -> None:
    """Attributes the file system does not take are left out, as other unpackers do; so are overlayfs' own, and the
    labels that files had where they were packed.
    """
    for name, value in entry.xattrs.items():
        if name.startswith(OVERLAY_PREFIX) or name == _SELINUX_XATTR:
            continue
        try:
            if isinstance(file, int):
                os.setxattr(file, name, value)
            else:
                os.setxattr(file, name, value, follow_symlinks=False)
        except OSError as exc:
            if exc.errno not in _IGNORED_XATTR_ERRORS:
                message = f"tar entry {show(entry.header.name)}: extended attribute {name!r}: {exc.strerror}"
                raise LayerError(message) from exc
