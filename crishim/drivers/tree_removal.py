"""Removing directories with all that is in them: mounts, which are only unmounted, and trees of any depth."""

from __future__ import annotations

import errno
import os
import secrets
from contextlib import suppress

from crishim.core.errors import InvalidArgumentError, SystemCallError
from crishim.drivers.mounts import mounted_under, unmount_all
from crishim.drivers.syscalls import system_call

# A container can nest directories deeper than this process may call functions or open descriptors.
_DEPTH = 64


def remove_trees(*paths: str) -> None:
    """Unmount all at and below each of ``paths``, then remove it; nothing there is fine. Never reaches into a mount.

    Raises InvalidArgumentError, and SystemCallError when the kernel refuses.
    """
    for path in paths:
        if os.path.normpath(path) != path or not path.startswith("/") or path == "/":
            raise InvalidArgumentError(f"remove {path!r}: expected an absolute path without . or ..")
        with system_call("remove", path):
            try:
                remove_tree_at(path, None)
            except OSError as error:
                if error.errno != errno.EBUSY:
                    raise
                _unmount_under(path)
                remove_tree_at(path, None)


def remove_tree_at(name: str, parent: int | None) -> None:
    """Remove the directory ``name`` of the open directory ``parent``, if it is there, and all in it.

    Raises OSError: EBUSY as soon as there is a mount, ELOOP for what is no directory.
    """
    if _is_gone(name, parent):
        return
    top = _open(name, parent)
    try:
        while not _empty(top, top, _DEPTH):
            pass
    finally:
        os.close(top)
    os.rmdir(name, dir_fd=parent)


def _empty(directory: int, top: int, depth: int) -> bool:
    """Remove what is in ``directory``. What is ``depth`` levels down is moved into ``top`` first, and False is said."""
    done = True
    with os.scandir(directory) as entries:
        found = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
    for name, is_directory in found:
        if not is_directory:
            with suppress(FileNotFoundError):
                os.unlink(name, dir_fd=directory)
        elif not _is_gone(name, directory):
            done = _remove_inside(name, directory, top, depth) and done
    return done


def _remove_inside(name: str, parent: int, top: int, depth: int) -> bool:
    """Remove the directory ``name`` of ``parent``, which is not empty; False when something of it went to ``top``."""
    if not depth:
        os.rename(name, f".{secrets.token_hex(8)}", src_dir_fd=parent, dst_dir_fd=top)
        return False
    handle = _open(name, parent)
    try:
        done = _empty(handle, top, depth - 1)
    finally:
        os.close(handle)
    os.rmdir(name, dir_fd=parent)
    return done


def _is_gone(name: str, parent: int | None) -> bool:
    """Remove a directory if it is empty.

    The kernel is asked before anybody looks into it: it says whether it is empty, mounted at or a link. To search the
    list of mounts instead takes long on a node with many pods.
    """
    try:
        os.rmdir(name, dir_fd=parent)
    except FileNotFoundError:
        return True
    except NotADirectoryError as error:
        raise OSError(errno.ELOOP, "a link or file where a directory should be") from error
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        return False
    return True


def _open(name: str, parent: int | None) -> int:
    return os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)


def _unmount_under(path: str) -> None:
    for point in reversed(mounted_under(path)):
        unmount_all(point)
    if left := mounted_under(path):
        raise SystemCallError(f"remove {path}: EBUSY (still mounted: {', '.join(left)})")
