"""Marks that a process hands on to all it starts, however far they run away from it.

A tree of processes cannot be followed by parent, process group or session: a process changes each of them at will,
and an orphan loses the first. Resource limits it inherits and keeps. ``RLIMIT_RTTIME`` (microseconds of real-time
scheduling without a system call, see getrlimit(2)) is set to a random number of more than a hundred thousand years:
as good as no limit, and on no other process of the machine.
"""

from __future__ import annotations

import resource
import secrets
import signal
from contextlib import suppress
from pathlib import Path

import anyio

from crishim.drivers import threads
from crishim.drivers.process.identity import ProcessId, ended, read_stat, send

_LIMIT = resource.RLIMIT_RTTIME
_LOWEST = 1 << 62
_FREE_BITS = 61


def new_mark() -> int:
    """A mark that nothing bears."""
    return _LOWEST | secrets.randbits(_FREE_BITS)


def oci_rlimit(mark: int) -> dict[str, int | str]:
    """The entry of an OCI ``process.rlimits`` that puts ``mark`` on the process."""
    return {"type": "RLIMIT_RTTIME", "soft": mark, "hard": mark}


def bearers(mark: int) -> list[ProcessId]:
    """The processes that bear ``mark`` and have not ended. Reads the list of all processes."""
    pids = (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit())
    return [process for pid in pids if _bears(pid, mark) and (process := _living(pid)) and _bears(pid, mark)]


async def kill_bearers(mark: int) -> None:
    """Kill every process that bears ``mark``, and return when all have ended, also those they start meanwhile."""
    while processes := await threads.run(bearers, mark):
        for process in processes:
            send(process, signal.SIGKILL)
        async with anyio.create_task_group() as group:
            for process in processes:
                group.start_soon(ended, process)


def _bears(pid: int, mark: int) -> bool:
    with suppress(ProcessLookupError, PermissionError):
        return resource.prlimit(pid, _LIMIT) == (mark, mark)
    return False


def _living(pid: int) -> ProcessId | None:
    stat = read_stat(pid) if pid > 1 else None
    return None if stat is None or stat.has_ended else ProcessId(pid, stat.start)
