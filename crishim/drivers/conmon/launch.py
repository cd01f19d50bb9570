"""Start a monitor, in two steps: it waits until all is ready for it, and known where it can be found after a crash."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack, ExitStack, suppress
from dataclasses import dataclass

import anyio

from cni_runtime import faults
from crishim.core.errors import DeadlineError, RuntimeFailedError
from crishim.drivers.conmon.argv import Monitor, command_line
from crishim.drivers.conmon.report import parse_report
from crishim.drivers.process.child import Child
from crishim.drivers.process.identity import ProcessId
from crishim.drivers.process.search import kill_group
from crishim.drivers.process.spawn import Program, Spawned, spawn
from crishim.drivers.process.stream import OutputFile
from crishim.drivers.syscalls import system_call

_REPORT_LIMIT = 1 << 17  # bytes; conmon cuts what the runtime says at 8192
_REPORT_CHUNK = 1 << 12  # most are a few bytes; more than a few pages would be mapped for every read
_SAID_LIMIT = 1 << 13
_END_SECONDS = 5.0  # for a killed OCI runtime; one may be stuck in the kernel


@dataclass(frozen=True)
class Launched:
    """A monitor that was started just now, and our ends of what it has; ``undo`` closes them."""

    spawned: Spawned
    gate: socket.socket
    reading: int
    said: OutputFile
    undo: ExitStack


class WaitingMonitor:
    """A monitor that has done nothing yet, and ends when this process does."""

    def __init__(self, launched: Launched, child: Child) -> None:
        self._child, self._process = child, child.identify()
        self._gate, self._reading = launched.gate, launched.reading
        self._said, self._undo = launched.said, launched.undo

    @classmethod
    async def of(cls, launched: Launched) -> WaitingMonitor:
        """Take care of what ``launch`` has started; it is ended when that fails. Raises SystemCallError."""
        async with AsyncExitStack() as failed:
            failed.callback(launched.undo.close)
            child = Child.hold(launched.spawned)
            failed.push_async_callback(child.end)
            monitor = cls(launched, child)
            failed.pop_all()
        return monitor

    async def make(self, record: Callable[[ProcessId], None], seconds: float) -> tuple[ProcessId, int]:
        """Let it make the container; returns who it is and the id of the container's first process.

        ``record`` is called before the monitor does anything; should this process end before, the monitor ends too.
        Raises RuntimeFailedError with what the runtime said, and DeadlineError after ``seconds``; then it is to be
        ended, and what was made may still be there.
        """
        record(self._process)
        faults.reach("oci.create.monitor_recorded")
        with suppress(BrokenPipeError):  # it has ended already: the report says why
            self._gate.send(b"\0")
        pid = await _report(self._reading, self._said, seconds)
        self._child.let_go()  # the OCI runtime has ended: there is nothing left in the group that would be killed
        self._undo.close()
        return self._process, pid

    async def end(self) -> None:
        """Kill it, with the OCI runtime if there is one already, and give back what is kept for it; idempotent.

        When the monitor has ended by itself before it reported, the OCI runtime may go on, so that is killed then, too.
        """
        self._undo.close()
        self._child.kill_group()  # all at once, so that none of them starts another meanwhile
        try:
            with anyio.move_on_after(_END_SECONDS):
                await kill_group(self._process)  # until they have ended, what is removed could be made once more
        finally:
            await self._child.end()


def launch(monitor: Monitor, *, env: Mapping[str, str]) -> Launched:
    """Start ``monitor``, which waits in its bundle. Blocks. Raises InvalidArgumentError, SystemCallError.

    What is returned is to become a ``WaitingMonitor`` at once, which takes care of it.
    """
    with system_call("start", str(monitor.program)), ExitStack() as undo, ExitStack() as handed_over:
        said = OutputFile(_SAID_LIMIT)
        undo.callback(said.close)
        reading, writing = _pipe(undo, handed_over)
        gate, waiting = _gate(undo, handed_over)
        spawned = spawn(
            Program(
                argv=command_line(monitor),
                env={**env, "_OCI_SYNCPIPE": str(writing), "_OCI_STARTPIPE": str(waiting)},
                directory=monitor.bundle,
                stdout=said.writing,
                stderr=said.writing,
                hand_down=(writing, waiting),
            )
        )
        return Launched(spawned, gate, reading, said, undo.pop_all())


def _pipe(ours: ExitStack, theirs: ExitStack) -> tuple[int, int]:
    reading, writing = os.pipe()
    ours.callback(os.close, reading)
    theirs.callback(os.close, writing)
    os.set_blocking(reading, False)
    return reading, writing


def _gate(ours: ExitStack, theirs: ExitStack) -> tuple[socket.socket, int]:
    """Two ends: conmon waits for a byte at the second one.

    It would take the end of a pipe for the byte. But when a socket is closed before all that came to it was read,
    reading from its peer is an error: should this process end now, conmon ends instead of making the container.
    """
    gate, waiting = socket.socketpair()
    ours.callback(gate.close)
    theirs.callback(waiting.close)
    waiting.send(b"\0")
    return gate, waiting.fileno()


async def _report(reading: int, said: OutputFile, seconds: float) -> int:
    line = b""
    with anyio.move_on_after(seconds):
        while not line.endswith(b"\n") and len(line) < _REPORT_LIMIT:
            await anyio.wait_readable(reading)
            chunk = os.read(reading, _REPORT_CHUNK)
            if not chunk:
                return _explain(line, said)
            line += chunk
        return parse_report(line)
    raise DeadlineError(f"the OCI runtime did not make the container within {seconds:g} s and was killed")


def _explain(line: bytes, said: OutputFile) -> int:
    """Without a whole report, what conmon said itself is all there is to know."""
    words = said.content().decode(errors="replace").strip()
    if words and not line:
        raise RuntimeFailedError(words)
    return parse_report(line)
