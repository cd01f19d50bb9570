"""SELinux labels: those of files, and which ones there are. Only called on nodes that have SELinux."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from pathlib import Path

from crishim.core.errors import InvalidArgumentError
from crishim.drivers import threads
from crishim.drivers.syscalls import system_call
from crishim.drivers.tree import walk

_ATTRIBUTE = "security.selinux"  # <linux/xattr.h>
_CHECK = Path("/sys/fs/selinux/context")  # takes labels that are valid; security/selinux/selinuxfs.c
_SHARED = frozenset({"/var/lib", "/var/log", "/var/run", "/usr/lib", "/usr/bin", "/usr/share", "/etc/pki"})


async def relabel(path: str, label: str, attribute: str = _ATTRIBUTE) -> None:
    """Label ``path`` and all below it; what lies on a file system without labels is left alone.

    Raises InvalidArgumentError for what other programs of the node need with the label it has, SystemCallError.
    """
    await threads.run(_relabel, path, label.encode(), attribute)


async def relabel_once(path: str, label: str, attribute: str = _ATTRIBUTE, *, below: bool = True) -> None:
    """Label the directory ``path``, unless it has the label, and all ``below`` it but for what is mounted there.

    What is made there afterwards has the label as well. Raises SystemCallError, also for a file system without labels.
    """
    await threads.run(_relabel_once, path, label.encode(), attribute, below)


async def knows_label(label: str) -> bool:
    """Whether the node's policy has this label; raises SystemCallError when it cannot be asked."""
    return await threads.run(_knows_label, label.encode())


def _knows_label(label: bytes) -> bool:
    with system_call("write", str(_CHECK)):
        check = os.open(_CHECK, os.O_RDWR | os.O_CLOEXEC)
        try:
            os.write(check, label + b"\0")
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.EFBIG):
                raise
            return False
        finally:
            os.close(check)
    return True


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
                _set(_in(directory, name), label, attribute)
        finally:
            os.close(root)


def _relabel_once(path: str, label: bytes, attribute: str, below: bool) -> None:
    with system_call("setxattr", path):
        if _label_of(path, attribute) == label:
            return
        root = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for directory, name, _ in walk(root, across_mounts=False) if below else ():
                with suppress(FileNotFoundError):
                    os.setxattr(_in(directory, name), attribute, label, follow_symlinks=False)
            os.setxattr(root, attribute, label)  # last, as it says that all is done
        finally:
            os.close(root)


def _label_of(path: str, attribute: str) -> bytes:
    try:
        return os.getxattr(path, attribute).rstrip(b"\0")
    except OSError as error:
        if error.errno not in (errno.ENODATA, errno.ENOTSUP):
            raise
        return b""


def _in(directory: int, name: bytes) -> bytes:
    return b"/proc/self/fd/%d/%s" % (directory, name)


def _set(path: bytes, label: bytes, attribute: str) -> None:
    try:
        os.setxattr(path, attribute, label, follow_symlinks=False)
    except OSError as error:
        if error.errno not in (errno.ENOTSUP, errno.ENOENT):  # the owner may be removing files meanwhile
            raise
