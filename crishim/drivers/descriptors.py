"""What the processes of a control group have open, see proc_pid_fd(5). A container can have any number of either."""

from __future__ import annotations

import os
import resource
from collections.abc import Collection, Iterable
from contextlib import suppress
from itertools import islice
from pathlib import Path

from msgspec import Struct

from crishim.core.clock import now_ns
from crishim.drivers.cgroups.groups import processes
from crishim.drivers.process.identity import ProcessId, identify
from crishim.drivers.syscalls import names_in

_MOST = 10_000  # processes, or descriptors, that are looked at for one container: a tenth of a second or two


class Descriptors(Struct, frozen=True):
    """What a container has open at ``timestamp`` (nanoseconds since the epoch), and its first process may have open.

    None: too many to look at, or no limit.
    """

    timestamp: int
    opened: int | None = None
    sockets: int | None = None
    soft_limit: int | None = None


def read_descriptors(directories: Iterable[Path], first: ProcessId) -> Descriptors | None:
    """What the processes of a group have open; None when it has none. Raises SystemCallError, OSError."""
    pids = processes(directories)
    return Descriptors(now_ns(), *count(pids), open_files_limit(first)) if pids else None


def count(pids: Collection[int], most: int = _MOST) -> tuple[int | None, int | None]:
    """How many descriptors the processes have, and how many sockets among them. Who has ended has none.

    None for what takes a look at more than ``most``; the first number does not, since Linux 6.2.
    """
    if len(pids) > most:
        return None, None
    opened, sockets = 0, 0
    complete = True
    for pid in pids:
        more, of_these = _count(pid, max(0, most - opened))
        if more is None:
            return None, None
        opened += more
        sockets += of_these or 0
        complete &= of_these is not None
    return opened, sockets if complete else None


def open_files_limit(process: ProcessId) -> int | None:
    """The soft RLIMIT_NOFILE of a process; None when it has none, or is gone."""
    try:
        soft, _ = resource.prlimit(process.pid, resource.RLIMIT_NOFILE)
    except OSError:
        return None
    # Its start time was noted before: who has the id now had it when the limit was read.
    return soft if soft != resource.RLIM_INFINITY and identify(process.pid) == process else None


def _count(pid: int, most: int) -> tuple[int | None, int | None]:
    try:
        directory = os.open(f"/proc/{pid}/fd", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except (FileNotFoundError, ProcessLookupError):
        return 0, 0
    try:
        number = os.fstat(directory).st_size  # 0 before Linux 6.2
        if number > most:
            return number, None
        names = [name for name, _ in islice(names_in(directory), most + 1)]
        if len(names) > most:
            return number or None, None
        return len(names), sum(_is_socket(directory, name) for name in names)
    except (FileNotFoundError, ProcessLookupError):
        return 0, 0
    finally:
        os.close(directory)


def _is_socket(directory: int, name: bytes) -> bool:
    """By its link: stat(2) would ask the file system of a file, which may never answer."""
    with suppress(OSError):  # closed meanwhile, or the path of a file that is too long
        return os.readlink(name, dir_fd=directory).startswith(b"socket:")
    return False
