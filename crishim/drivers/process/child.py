"""Children of this process: started without copying it, or adopted, and reaped by the event loop when they end.

Starting blocks for half a millisecond: the time until the program is executed.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import anyio
from msgspec import Struct

from crishim.core.errors import NotFoundError, SystemCallError
from crishim.drivers import threads
from crishim.drivers.process.identity import ProcessId, identify, read_stat, reap

_REAP_SECONDS = 5.0  # for a killed child; one stuck in the kernel is reaped whenever it ends

_REMEMBERED = 256

_children: set[int] = set()
_reaped: dict[int, int] = {}  # the statuses of the last orphans that were reaped


class Program(Struct, frozen=True, kw_only=True):
    """What to run. ``stdin``, ``stdout`` and ``stderr`` are descriptors, None for /dev/null.

    ``executable`` is the file to execute when ``argv`` only has another name for it.
    ``hand_down`` lists further descriptors that the program gets under the same numbers.
    """

    argv: tuple[str, ...]
    executable: Path | None = None
    env: Mapping[str, str]
    directory: Path = Path("/")
    stdin: int | None = None
    stdout: int | None = None
    stderr: int | None = None
    hand_down: tuple[int, ...] = ()


class Child:
    """A process that this one started, or that its own parent left to this one; it is reaped when it ends."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._gone = anyio.Event()
        self._status = 0

    @classmethod
    def start(cls, program: Program) -> Child:
        """Start a program, which leads a process group of its own. Raises SystemCallError."""
        pid, pidfd = _spawn(program)
        child = cls(pid)
        child._watch(pidfd)
        return child

    @classmethod
    def adopt(cls, pid: int) -> Child:
        """Take over a process whose parent has just ended. It may have ended too, and be reaped as an orphan already.

        Raises NotFoundError when this is not a process that was left to this one.
        """
        stat = read_stat(pid) if pid > 1 and pid not in _children else None
        if stat is not None and stat.parent == os.getpid():
            child = cls(pid)
            child._watch(os.pidfd_open(pid))
        elif pid in _reaped:
            child = cls(pid)
            child._set_ended(_reaped.pop(pid))
        else:
            raise NotFoundError(f"process {pid} is not an orphan that was left to this one")
        return child

    def identify(self) -> ProcessId:
        """Its id with its start time; to be asked while it is not reaped. Raises NotFoundError after that."""
        process = None if self._gone.is_set() else identify(self.pid)
        if process is None:
            raise NotFoundError(f"process {self.pid} has ended")
        return process

    @property
    def status(self) -> int | None:
        """Exit code, or the number of the signal it died of below zero; None while it runs."""
        return self._status if self._gone.is_set() else None

    async def wait(self) -> int:
        """Wait for its end and return the status."""
        await self._gone.wait()
        return self._status

    def kill_group(self) -> None:
        """Kill it with all of its process group. Nothing happens once it is reaped: its id may be another's then."""
        if not self._gone.is_set() and self.pid > 1:
            with suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)

    async def end(self) -> None:
        """Kill it with its group unless it has ended, and wait until it is reaped; a cancellation waits too."""
        self.kill_group()
        if not self._gone.is_set():
            await threads.to_the_end(asyncio.ensure_future(self._wait_shortly()))

    async def _wait_shortly(self) -> None:
        with anyio.move_on_after(_REAP_SECONDS):
            await self._gone.wait()

    def _watch(self, pidfd: int) -> None:
        _children.add(self.pid)
        asyncio.get_running_loop().add_reader(pidfd, self._reap, pidfd)

    def _reap(self, pidfd: int) -> None:
        asyncio.get_running_loop().remove_reader(pidfd)
        status = reap(pidfd)
        os.close(pidfd)
        _children.discard(self.pid)
        # None: someone else has reaped it, so how it ended is not known.
        self._set_ended(-int(signal.SIGKILL) if status is None else status)

    def _set_ended(self, status: int) -> None:
        self._status = status
        self._gone.set()


def is_child(pid: int) -> bool:
    """Whether this process is still to be reaped by its ``Child``."""
    return pid in _children


def note_reaped(pid: int, status: int) -> None:
    """Remember how an orphan ended, for whoever is about to adopt it."""
    _reaped.pop(pid, None)
    _reaped[pid] = status
    if len(_reaped) > _REMEMBERED:
        del _reaped[next(iter(_reaped))]


def _spawn(program: Program) -> tuple[int, int]:
    try:
        # It uses vfork, starts the program elsewhere than here, and closes what the program is not to have.
        started = subprocess.Popen(
            program.argv,
            executable=program.executable,
            env=program.env,
            cwd=program.directory,
            stdin=_or_null(program.stdin),
            stdout=_or_null(program.stdout),
            stderr=_or_null(program.stderr),
            pass_fds=program.hand_down,
            process_group=0,  # and no new session: with autogroups that would cost it half its share of a busy node
        )
    except OSError as error:
        raise SystemCallError(f"start {program.argv[0]}: {error.strerror}") from error
    started.returncode = 0  # from here on the pidfd is waited for: Popen is not to wait, nor to complain
    try:
        return started.pid, os.pidfd_open(started.pid)
    except BaseException:  # no descriptors left: what can not be watched must not run
        os.killpg(started.pid, signal.SIGKILL)
        os.waitpid(started.pid, 0)
        raise


def _or_null(descriptor: int | None) -> int:
    return subprocess.DEVNULL if descriptor is None else descriptor
