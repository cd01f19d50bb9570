"""Read files of a container's root file system, which may be as hostile as its image."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable

from crishim.core.errors import InvalidArgumentError
from crishim.drivers import syscalls, threads
from crishim.drivers.syscalls import system_call

_LIMIT = 4 * 1024 * 1024


async def read_in_root(root: str, *paths: str) -> tuple[str, ...]:
    """The texts of files below ``root``, links resolved inside it; empty where there is none.

    Raises InvalidArgumentError for what is no regular file or larger than 4 MiB, SystemCallError.
    """
    return await threads.run(_read_all, root, paths)


def _read_all(root: str, paths: Iterable[str]) -> tuple[str, ...]:
    return tuple([_read(root, path) for path in paths])


def _read(root: str, path: str) -> str:
    with system_call("open", f"{path} in {root}"):
        directory = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            found = syscalls.open_in_root(directory, path, os.O_PATH)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENOTDIR):
                return ""
            raise
        finally:
            os.close(directory)
        try:
            # Looked at before it is opened: to open a device does something, such as to start a watchdog.
            if not stat.S_ISREG(os.fstat(found).st_mode):
                raise InvalidArgumentError(f"{path} of the image is not a regular file")
            file = os.open(f"/proc/self/fd/{found}", os.O_RDONLY | os.O_CLOEXEC)
        finally:
            os.close(found)
    with os.fdopen(file, "rb") as opened:
        data = opened.read(_LIMIT + 1)
    if len(data) > _LIMIT:
        raise InvalidArgumentError(f"{path} of the image is larger than {_LIMIT} bytes")
    return data.decode(errors="surrogateescape")
