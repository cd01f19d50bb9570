"""The file of the listening unix socket: who may take its place, and when it may be removed.

gRPC binds to a path and, when it stops, removes whatever is at that path by then. So it is given a hidden
name, and the socket is renamed: its real name appears with its final mode, replaces a stale socket in one
step, and stays ours to remove.
"""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from crishim.core.errors import AlreadyExistsError, FailedPreconditionError, InvalidArgumentError

MODE = 0o660
_PATH_LIMIT = 107
"""Bytes; sun_path less its final zero (unix(7))."""


class SocketFile:
    """A published socket."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._identity = _identity(path)

    def remove(self) -> None:
        """Remove the file, unless it is gone or another server's by now."""
        if _identity(self._path) == self._identity:
            self._path.unlink()


def publish(path: Path, bind: Callable[[Path], None]) -> SocketFile:
    """Have ``bind`` make a listening socket and put it at ``path``; missing directories are made.

    Raises AlreadyExistsError when a server listens there, FailedPreconditionError when something else than
    a socket is there, InvalidArgumentError when the path is too long for a socket.
    """
    path = path.absolute()
    hidden = path.with_name(f".{os.getpid()}")
    if max(len(os.fsencode(path)), len(os.fsencode(hidden))) > _PATH_LIMIT:
        raise InvalidArgumentError(f"address {path}: longer than the {_PATH_LIMIT} bytes a unix socket may have")
    path.parent.mkdir(parents=True, exist_ok=True)
    with _locked(path.parent):
        _require_free(path)
        bind(hidden)
        hidden.chmod(MODE)
        hidden.rename(path)
    return SocketFile(path)


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """Keep two servers that start at once from both finding the address free."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _require_free(path: Path) -> None:
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise FailedPreconditionError(f"address {path}: is not a socket, and is left alone")
    if _is_live(path):
        raise AlreadyExistsError(f"address {path}: another server listens there")


def _is_live(path: Path) -> bool:
    """Whether somebody listens; nobody does when the connection is refused or the file has just gone."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        return probe.connect_ex(os.fspath(path)) not in (errno.ECONNREFUSED, errno.ENOENT)


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.lstat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino
