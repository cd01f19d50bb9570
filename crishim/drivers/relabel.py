"""SELinux labels of files. Only called on nodes that have SELinux."""

from __future__ import annotations

import errno
import os
from contextlib import suppress

from crishim.core.errors import InvalidArgumentError
from crishim.drivers import syscalls, threads
from crishim.drivers.syscalls import system_call

_ATTRIBUTE = "security.selinux"  # <linux/xattr.h>
_SHARED = frozenset({"/var/lib", "/var/log", "/var/run", "/usr/lib", "/usr/bin", "/usr/share", "/etc/pki"})


async def relabel(path: str, label: str, attribute: str = _ATTRIBUTE) -> None:
    """Label ``path`` and all below it; what lies on a file system without labels is left alone.

    Raises InvalidArgumentError for what other programs of the node need with the label it has, SystemCallError.
    """
    await threads.run(_relabel, path, label.encode(), attribute)


def _relabel(path: str, label: bytes, attribute: str) -> None:
    real = os.path.realpath(path)
    if real.count("/") < 2 or real in _SHARED:
        raise InvalidArgumentError(f"relabel {path}: the node itself needs its label")
    with system_call("setxattr", path):
        _set(real, label, attribute)
        try:
            root = os.open(real, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError:
            return
        try:
            _label_below(root, label, attribute)
        finally:
            os.close(root)


def _label_below(root: int, label: bytes, attribute: str) -> None:
    """Label what is in the open directory ``root``; a file has nothing below it.

    Functions do not nest as deep as directories, whose owner may replace them by links meanwhile: none leads out of
    ``root``.
    """
    todo = ["."]
    while todo:
        path = todo.pop()
        try:
            directory = syscalls.open_in_root(root, path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except OSError as error:
            if error.errno == errno.ENAMETOOLONG:
                raise
            continue  # removed or replaced, a file to begin with, or on a file system that is not ours to read
        try:
            for entry in _entries(directory):
                _set(f"/proc/self/fd/{directory}/{entry.name}", label, attribute)
                if entry.is_dir(follow_symlinks=False):
                    todo.append(f"{path}/{entry.name}")
        finally:
            os.close(directory)


def _entries(directory: int) -> list[os.DirEntry[str]]:
    with suppress(OSError), os.scandir(directory) as entries:
        return list(entries)
    return []  # it has been removed


def _set(path: str, label: bytes, attribute: str) -> None:
    try:
        os.setxattr(path, attribute, label, follow_symlinks=False)
    except OSError as error:
        if error.errno not in (errno.ENOTSUP, errno.ENOENT):  # the owner may be removing files meanwhile
            raise
