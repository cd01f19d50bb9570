"""Run one program to its end, with limits on time and output, and leave no process behind.

It is started in a thread, see ``cni_runtime.spawn``; the event loop learns of output and of the program's end from
file descriptors.

The program leads a session, hence a process group, of its own. Its input is a file in memory: it may read it or not.
No other part of this process may wait for children it did not start (``waitpid(-1)``): the status would be lost.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from enum import StrEnum
from pathlib import Path

import anyio
import anyio.to_thread
from msgspec import Struct

from cni_runtime.spawn import Inherited, Stdio, pidfd_of, posix_spawn
from cni_runtime.tasks import finish

_CHUNK = 1 << 16
_REAP = 5.0  # seconds to wait for a killed program; one stuck in the kernel is reaped whenever it ends
_LOST = 255  # the status of a program that somebody else has waited for


class Killed(StrEnum):
    """Why a program did not end by itself."""

    TIMEOUT = "timeout"
    OUTPUT = "output"


class Limits(Struct, frozen=True):
    """``timeout`` in seconds, the rest in bytes. Of a long standard error the end is kept; long output is an error."""

    timeout: float = 90.0
    stdout: int = 1 << 20
    stderr: int = 1 << 16


class Ended(Struct, frozen=True):
    """How a program ended: ``status`` is its exit code, or the negative number of the signal it died of.

    ``elapsed`` in seconds. When ``killed`` is set, the whole process group was killed for that reason.
    """

    status: int
    stdout: bytes
    stderr: bytes
    elapsed: float
    killed: Killed | None = None


async def run(program: Path, *, stdin: bytes, env: Mapping[str, str], limits: Limits) -> Ended:
    """Run ``program`` and return how it ended; raises OSError when it cannot be started.

    When the time is over or the caller is cancelled, the process group is killed and the program reaped before this
    returns. What a failed program left of its group is killed too; a program that succeeds may leave a daemon.
    """
    process = _Process(limits)
    try:
        await finish(process.start(program, stdin, env))
        with anyio.move_on_after(limits.timeout):
            await process.gone.wait()
    finally:
        if process.is_running:
            process.kill(Killed.TIMEOUT)
            with anyio.move_on_after(_REAP, shield=True):
                await process.gone.wait()
    return process.ended()


class _Process:
    """A started program. Whoever waits may give up: its end is handled by the event loop in any case."""

    def __init__(self, limits: Limits) -> None:
        self.gone = anyio.Event()
        self._loop = asyncio.get_running_loop()
        self._limits = limits
        self._stdout, self._stderr = bytearray(), bytearray()
        self._pid = 0
        self._status = -int(signal.SIGKILL)
        self._killed: Killed | None = None
        self._elapsed = 0.0
        self._started = time.perf_counter()

    async def start(self, program: Path, stdin: bytes, env: Mapping[str, str]) -> None:
        """Start it; not to be cancelled. Raises OSError."""
        with ExitStack() as undo, ExitStack() as child_side:
            child_in = _memory_file(stdin, child_side)
            self._out, child_out = _pipe(undo, child_side)
            self._err, child_err = _pipe(undo, child_side)
            streams = (child_in, child_out, child_err)
            self._pid, self._pidfd = await anyio.to_thread.run_sync(_spawn, str(program), env, streams)
            undo.callback(os.close, self._pidfd)
            self._fds = undo.pop_all()
        self._loop.add_reader(self._out, self._read_stdout)
        self._loop.add_reader(self._err, self._read_stderr)
        self._loop.add_reader(self._pidfd, self._reap)

    @property
    def is_running(self) -> bool:
        """Whether it was started, and is still to be reaped."""
        return self._pid > 0 and not self.gone.is_set()

    def ended(self) -> Ended:
        elapsed = self._elapsed or time.perf_counter() - self._started
        return Ended(self._status, bytes(self._stdout), bytes(self._stderr), elapsed, self._killed)

    def kill(self, reason: Killed | None = None) -> None:
        """Kill the process group. Only before the program is reaped: until then its pid is nobody else's."""
        self._killed = self._killed or reason
        with suppress(ProcessLookupError):
            os.killpg(_checked(self._pid), signal.SIGKILL)

    def _read_stdout(self) -> bool:
        chunk = self._read(self._out)
        self._stdout += chunk
        if len(self._stdout) > self._limits.stdout:
            del self._stdout[self._limits.stdout :]
            self.kill(Killed.OUTPUT)
        return bool(chunk)

    def _read_stderr(self) -> bool:
        chunk = self._read(self._err)
        self._stderr += chunk
        del self._stderr[: -self._limits.stderr]
        return bool(chunk)

    def _read(self, fd: int) -> bytes:
        """What is there now; nothing more is heard of ``fd`` after its end."""
        try:
            chunk = os.read(fd, _CHUNK)
        except BlockingIOError:
            return b""
        if not chunk:
            self._loop.remove_reader(fd)
        return chunk

    def _reap(self) -> None:
        self._elapsed = time.perf_counter() - self._started
        # A child of the program may hold the pipes open, and write: no waiting for their end, no reading for ever.
        for read in (self._read_stdout, self._read_stderr):
            for _ in range(self._limits.stdout // _CHUNK + 1):
                if not read():
                    break
        try:
            self._status = self._wait()
        except ChildProcessError:
            self._status = _LOST
        for fd in (self._out, self._err, self._pidfd):
            self._loop.remove_reader(fd)
        self._fds.close()
        self.gone.set()

    def _wait(self) -> int:
        """The status of the program, which has ended. If it failed, what is left of its group is killed first."""
        info = os.waitid(os.P_PID, self._pid, os.WEXITED | os.WNOWAIT)
        if info is None or info.si_code != os.CLD_EXITED or info.si_status != 0:
            self.kill()
        return os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])


def _pipe(ours: ExitStack, childs: ExitStack) -> tuple[int, int]:
    """The reading and the writing end of a pipe, each closed by the stack of its owner."""
    reading, writing = os.pipe()
    ours.callback(os.close, reading)
    childs.callback(os.close, writing)
    os.set_blocking(reading, False)
    return reading, writing


def _memory_file(content: bytes, owner: ExitStack) -> int:
    fd = os.memfd_create("cni-config")
    owner.callback(os.close, fd)
    with os.fdopen(fd, "wb", closefd=False) as file:
        file.write(content)
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


def _spawn(program: str, env: Mapping[str, str], streams: Stdio) -> tuple[int, int]:
    pid = posix_spawn(program, [program], env, Inherited(stdio=streams, new_session=True))
    return pid, pidfd_of(_checked(pid))


def _checked(pid: int) -> int:
    """``pid``, which is about to be signalled: 1 and below would hit far more than one program."""
    if pid <= 1:
        raise ProcessLookupError(f"refused to use process id {pid}")
    return pid
