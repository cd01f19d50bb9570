"""Children of this process: started without copying it, or adopted, and reaped by the event loop when they end."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import suppress

import anyio

from cni_runtime.outcome import Outcome, come
from cni_runtime.tasks import finish
from crishim.core.errors import NotFoundError
from crishim.drivers import threads
from crishim.drivers.process.identity import ProcessId, identify, read_stat, reap
from crishim.drivers.process.spawn import Program, Spawned, end, forget_child, is_child, note_child, spawn
from crishim.drivers.syscalls import system_call

_REAP_SECONDS = 5.0  # for a killed child; one stuck in the kernel is reaped whenever it ends

_REMEMBERED = 256

_reaped: dict[int, int] = {}  # the statuses of the last orphans that were reaped


class Child:
    """A process that this one started, or that its own parent left to this one; it is reaped when it ends."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._gone = asyncio.Event()
        self._status = 0
        self._held: int | None = None  # the pidfd of one that is not to be reaped yet

    @classmethod
    async def start(cls, program: Program) -> Child:
        """Start a program, which leads a process group of its own. Raises SystemCallError.

        When the caller is cancelled meanwhile, the program has been killed and reaped before this returns.
        """
        return await cls.of(threads.start(spawn, program))

    @classmethod
    async def of(cls, starting: Outcome[Spawned]) -> Child:
        """Take care of what ``spawn`` is about to start in a thread. Raises as ``spawn`` does.

        When the caller is cancelled meanwhile, the program has been killed and reaped before this returns.
        """
        try:
            return cls.take(await come(starting))
        except asyncio.CancelledError:
            if starting.exception() is None:
                await cls.take(starting.result()).end()
            raise

    @classmethod
    def take(cls, spawned: Spawned) -> Child:
        """Take care of what ``spawn`` has started, and of its pidfd; it is ended when that fails."""
        child = cls(spawned.pid)
        try:
            child._watch(spawned.pidfd)
        except BaseException:
            end(spawned)
            raise
        return child

    @classmethod
    def hold(cls, spawned: Spawned) -> Child:
        """As ``take``, but it is not reaped before ``let_go`` or ``end``, nor is its end known.

        Its id is nobody else's until then, so what is left of its process group can still be killed when it has ended.
        """
        child = cls(spawned.pid)
        child._held = spawned.pidfd
        return child

    @classmethod
    def adopt(cls, pid: int) -> Child:
        """Take over a process whose parent has just ended. It may have ended too, and be reaped as an orphan already.

        Raises NotFoundError when this is not a process that was left to this one.
        """
        stat = read_stat(pid) if pid > 1 and not is_child(pid) else None
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
        """Its id with its start time; to be asked while it is not reaped. Raises NotFoundError after that.

        Raises SystemCallError when the kernel does not say.
        """
        with system_call("identify process", str(self.pid)):
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

    def let_go(self) -> None:
        """From now on it is reaped when it ends; nothing happens to one that is not held."""
        if self._held is not None:
            self._watch(self._held)
            self._held = None

    async def end(self) -> None:
        """Kill it with its group unless it is reaped, and wait until it is; a cancellation waits too."""
        self.kill_group()
        self.let_go()
        if not self._gone.is_set():
            await finish(self._wait_shortly())

    async def _wait_shortly(self) -> None:
        with anyio.move_on_after(_REAP_SECONDS):
            await self._gone.wait()

    def _watch(self, pidfd: int) -> None:
        note_child(self.pid)
        asyncio.get_running_loop().add_reader(pidfd, self._reap, pidfd)

    def _reap(self, pidfd: int) -> None:
        asyncio.get_running_loop().remove_reader(pidfd)
        status = reap(pidfd)
        os.close(pidfd)
        forget_child(self.pid)
        # None: someone else has reaped it, so how it ended is not known.
        self._set_ended(-int(signal.SIGKILL) if status is None else status)

    def _set_ended(self, status: int) -> None:
        self._status = status
        self._gone.set()


def note_reaped(pid: int, status: int) -> None:
    """Remember how an orphan ended, for whoever is about to adopt it."""
    _reaped.pop(pid, None)
    _reaped[pid] = status
    if len(_reaped) > _REMEMBERED:
        del _reaped[next(iter(_reaped))]
