"""SELinux labels of files. Only called on nodes that have SELinux."""

from __future__ import annotations

import errno
import os

from crishim.core.errors import InvalidArgumentError
from crishim.drivers import threads
from crishim.drivers.syscalls import system_call
from crishim.drivers.tree import walk

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
        _set(os.fsencode(real), label, attribute)
        try:
            root = os.open(real, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError, PermissionError):
            return  # a file to begin with, removed or replaced, or on a file system that is not ours to read
        try:
            for directory, name, _ in walk(root, across_mounts=True):
                _set(b"/proc/self/fd/%d/%s" % (directory, name), label, attribute)
        finally:
            os.close(root)


def _set(path: bytes, label: bytes, attribute: str) -> None:
    try:
        os.setxattr(path, attribute, label, follow_symlinks=False)
    except OSError as error:
        if error.errno not in (errno.ENOTSUP, errno.ENOENT):  # the owner may be removing files meanwhile
            raise
