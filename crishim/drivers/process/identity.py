"""Which process is meant: an id with its start time, and pidfds that were checked against both."""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

import anyio
from msgspec import Struct

from crishim.drivers.syscalls import open_process, system_call

_STAT_BYTES = 4096  # it is one line
_GONE = (errno.ESRCH, errno.ENOENT)


class ProcessId(Struct, frozen=True):
    """One process of this boot: ``start`` in clock ticks since the boot, field 22 of proc(5)'s stat."""

    pid: int
    start: int


class Stat(Struct, frozen=True):
    """A part of ``/proc/PID/stat``: state (one letter), parent, process group, number of threads, and start time."""

    state: str
    parent: int
    group: int
    threads: int
    start: int

    @property
    def has_ended(self) -> bool:
        """Whether it only waits to be reaped; threads may outlive the first one, which then is a zombie."""
        return self.state in "ZX" and self.threads <= 1


def parse_stat(content: bytes) -> Stat:
    """Read the content of ``/proc/PID/stat``; the command's name in it may hold blanks and parentheses."""
    fields = content.rpartition(b")")[2].split()
    return Stat(
        state=fields[0].decode("ascii"),
        parent=int(fields[1]),
        group=int(fields[2]),
        threads=int(fields[17]),
        start=int(fields[19]),
    )


def read_stat(pid: int) -> Stat | None:
    """What the kernel says of a process; None when there is none."""
    try:
        file = os.open(f"/proc/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
    except (FileNotFoundError, ProcessLookupError):  # the latter when it goes just then
        return None
    try:
        return parse_stat(os.read(file, _STAT_BYTES))
    except ProcessLookupError:
        return None
    finally:
        os.close(file)


def identify(pid: int) -> ProcessId | None:
    """Whoever has this id now; None when that is nobody, or not one process."""
    stat = read_stat(pid) if pid > 1 else None
    return ProcessId(pid, stat.start) if stat else None


@contextmanager
def opened(process: ProcessId) -> Iterator[int | None]:
    """A pidfd of exactly this process for the time of the body, None when it is gone and reaped."""
    with system_call("open process", str(process.pid)):
        pidfd = _open(process)
    try:
        yield pidfd
    finally:
        if pidfd is not None:
            os.close(pidfd)


async def ended(process: ProcessId) -> None:
    """Return when the process has ended, at once if it has already; it need not be a child of this one."""
    with opened(process) as pidfd:
        if pidfd is not None:
            await anyio.wait_readable(pidfd)


def send(process: ProcessId, number: int) -> bool:
    """Send a signal to exactly this process; False when it is gone."""
    with opened(process) as pidfd:
        if pidfd is None:
            return False
        with system_call(f"signal {number} to process", str(process.pid)):
            try:
                signal.pidfd_send_signal(pidfd, number)
            except ProcessLookupError:
                return False
        return True


def reap(pidfd: int) -> int | None:
    """The status of a child that has ended, which frees its id; see ``status_of``.

    None when it has not ended, or is not a child of this process.
    """
    with suppress(ChildProcessError):
        info = os.waitid(os.P_PIDFD, pidfd, os.WEXITED | os.WNOHANG)
        if info is not None:
            return status_of(info)
    return None


def status_of(info: os.waitid_result) -> int:
    """How a child ended: its exit code, or a signal's number below zero."""
    return info.si_status if info.si_code == os.CLD_EXITED else -info.si_status


def _open(process: ProcessId) -> int | None:
    try:
        pidfd = open_process(process.pid)
    except OSError as error:
        if error.errno in _GONE:
            return None
        raise
    with ExitStack() as undo:
        undo.callback(os.close, pidfd)
        # Checked after it was opened: the start time was noted before, so whoever has it now is who was opened.
        stat = read_stat(process.pid)
        if stat is None or stat.start != process.start:
            return None
        undo.pop_all()
    return pidfd
