"""Removing directories with all that is in them: mounts, which are only unmounted, and trees of any depth."""

from __future__ import annotations

import errno
import os
import secrets
from contextlib import suppress

from crishim.core.errors import InvalidArgumentError, SystemCallError
from crishim.drivers.mounts import mounted_under, unmount_all
from crishim.drivers.syscalls import system_call

# A container can nest directories deeper than this process may call functions or open descriptors, two for each.
_DEPTH = 32
# How often directories are read again in one removal. Once for every 32 levels of a tree; the rest is for what somebody
# makes meanwhile, and for file systems that pass names over while others are removed.
_AGAIN = 100_000


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


def remove_tree_at(name: str, parent: int | None, again: int = _AGAIN) -> None:
    """Remove the directory ``name`` of the open directory ``parent``, if it is there, and all in it.

    Raises OSError: EBUSY as soon as there is a mount, ELOOP for what is no directory, ENOTEMPTY when there is still
    something in it after ``again`` directories have been read once more.
    """
    if not _is_gone(name, parent):
        top = _open(name, parent)
        try:
            _Removal(top, again).empty(top, name, parent, _DEPTH)
        finally:
            os.close(top)


class _Removal:
    """Of all in the open directory ``top``. Names are taken as they are read: there may be millions in a directory."""

    def __init__(self, top: int, again: int) -> None:
        self._top, self._again = top, again

    def empty(self, directory: int, name: str, parent: int | None, depth: int) -> None:
        """Remove all in ``directory``, then itself. What is ``depth`` levels down is moved into the top first."""
        self._read(directory, depth)
        while not _is_gone(name, parent):
            if not self._again:
                raise OSError(errno.ENOTEMPTY, os.strerror(errno.ENOTEMPTY), name)
            self._again -= 1
            self._read(directory, depth)

    def _read(self, directory: int, depth: int) -> None:
        with os.scandir(directory) as entries:
            for entry in entries:
                if not entry.is_dir(follow_symlinks=False):
                    with suppress(FileNotFoundError):
                        os.unlink(entry.name, dir_fd=directory)
                elif not _is_gone(entry.name, directory):
                    self._remove_inside(entry.name, directory, depth)

    def _remove_inside(self, name: str, parent: int, depth: int) -> None:
        """Remove the directory ``name`` of ``parent``, which is not empty, or move it to the top."""
        if not depth:
            os.rename(name, f".{secrets.token_hex(8)}", src_dir_fd=parent, dst_dir_fd=self._top)
            return
        directory = _open(name, parent)
        try:
            self.empty(directory, name, parent, depth - 1)
        finally:
            os.close(directory)


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
