"""Running a command in a container whose streams someone else reads and writes, with a terminal or without."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import struct
import termios
from collections.abc import AsyncIterator
from contextlib import ExitStack, suppress
from pathlib import Path

import anyio
from msgspec import Struct

from crishim.core.errors import RuntimeFailedError
from crishim.drivers.oci.deadline import within
from crishim.drivers.oci.exec import Exec, Streams
from crishim.drivers.oci.exec_sync import exit_code
from crishim.drivers.oci.program import OciProgram
from crishim.drivers.process.child import Child

_CHUNK = 1 << 16  # as much as one read of a pipe is worth
_PIPE_SIZE = 1 << 18  # the kernel's 64 KiB let a command and its reader wait for each other too often


class Wanted(Struct, frozen=True, kw_only=True):
    """Which streams of a command are wanted; the others are /dev/null. A terminal is input and output in one."""

    tty: bool = False
    stdin: bool = False
    stdout: bool = True
    stderr: bool = True


class Output:
    """What a command writes; iterate until nobody can write any more. As long as nobody reads, writers wait."""

    def __init__(self, descriptor: int) -> None:
        os.set_blocking(descriptor, False)
        self._descriptor = descriptor

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """The output as it comes."""
        while chunk := await self._read():
            yield chunk

    async def _read(self) -> bytes:
        while True:
            try:
                return os.read(self._descriptor, _CHUNK)
            except BlockingIOError:
                await anyio.wait_readable(self._descriptor)
            except OSError as error:
                if error.errno == errno.EIO:  # a terminal that no process has open any more
                    return b""
                raise


class Input:
    """What a command reads."""

    def __init__(self, descriptor: int, *, is_terminal: bool = False) -> None:
        os.set_blocking(descriptor, False)
        self._descriptor, self._is_terminal = descriptor, is_terminal
        self._is_open = True

    async def send(self, data: bytes) -> bool:
        """Write all of ``data``; False when nobody reads any more."""
        rest = memoryview(data)
        while rest:
            if not self._is_open:
                return False
            try:
                rest = rest[os.write(self._descriptor, rest) :]
            except BlockingIOError:
                await anyio.wait_writable(self._descriptor)
            except OSError as error:
                if error.errno not in (errno.EPIPE, errno.EIO):
                    raise
                return False
        return True

    def end(self) -> None:
        """Say that there will be no more. A terminal has no end: who is at it types one."""
        if not self._is_terminal:
            self.close()

    def close(self) -> None:
        """Give the descriptor back."""
        if self._is_open:
            self._is_open = False
            os.close(self._descriptor)


class Ends(Struct, frozen=True):
    """Our ends of a command's streams, None where one is not wanted, and its terminal if it has one."""

    stdin: Input | None = None
    stdout: Output | None = None
    stderr: Output | None = None
    terminal: int | None = None


class ExecSession:
    """A command that runs in a container."""

    def __init__(self, command: Exec, child: Child, ends: Ends, undo: ExitStack) -> None:
        self._command, self._child, self._ends, self._undo = command, child, ends, undo
        self.stdin, self.stdout, self.stderr = ends.stdin, ends.stdout, ends.stderr

    async def wait(self) -> int:
        """Wait for the command's end; its exit code. What it started may still write."""
        return exit_code(await self._child.wait())

    def resize(self, width: int, height: int) -> None:
        """Set the size of the terminal, in characters; without a terminal nothing happens."""
        if self._ends.terminal is not None:
            fcntl.ioctl(self._ends.terminal, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))

    async def kill(self) -> None:
        """Kill the command and all that it started."""
        await self._command.kill()

    async def aclose(self) -> None:
        """Give everything back. A command that has not ended is killed, with all that it started."""
        with self._undo:
            if self._child.status is None:
                await self._command.kill()


async def open_session(
    command: Exec, program: OciProgram, wanted: Wanted, *, sockets: Path, seconds: float
) -> ExecSession:
    """Start ``command``; ``sockets`` is a directory with a short path for the socket its terminal comes through.

    Raises RuntimeFailedError, and DeadlineError when the OCI runtime takes longer than ``seconds`` to start it; then
    nothing is left.
    """
    undo = ExitStack()
    undo.callback(command.close)
    try:
        with within(seconds, f"starting a command in container {command.container_id}"):
            if wanted.tty:
                child, ends = await _start_on_terminal(command, program, wanted, sockets, undo)
            else:
                child, ends = await _start_on_pipes(command, program, wanted, undo)
    except BaseException:
        with undo:
            await command.kill()
        raise
    return ExecSession(command, child, ends, undo)


async def _start_on_pipes(command: Exec, program: OciProgram, wanted: Wanted, undo: ExitStack) -> tuple[Child, Ends]:
    with ExitStack() as handed_over:
        reading, stdin = _input(wanted.stdin, undo, handed_over)
        writing, stdout = _output(wanted.stdout, undo, handed_over)
        errors, stderr = _output(wanted.stderr, undo, handed_over)
        child = await command.start(program, Streams(stdin=reading, stdout=writing, stderr=errors))
    return child, Ends(stdin, stdout, stderr)


async def _start_on_terminal(
    command: Exec, program: OciProgram, wanted: Wanted, sockets: Path, undo: ExitStack
) -> tuple[Child, Ends]:
    address = sockets / f"{command.mark:x}"
    with ExitStack() as meanwhile:
        listener = meanwhile.enter_context(socket.socket(socket.AF_UNIX))
        listener.setblocking(False)
        listener.bind(str(address))
        meanwhile.callback(address.unlink, missing_ok=True)
        listener.listen(1)
        child = await command.start(program, Streams(console=address))
        terminal = await _receive_terminal(listener)
        undo.callback(os.close, terminal)
    _translate_newlines(terminal)
    stdin = Input(os.dup(terminal), is_terminal=True)
    undo.callback(stdin.close)
    return child, Ends(stdin if wanted.stdin else None, Output(terminal), None, terminal)


async def _receive_terminal(listener: socket.socket) -> int:
    await anyio.wait_readable(listener)
    connection, _ = listener.accept()
    with connection:
        connection.setblocking(False)
        await anyio.wait_readable(connection)
        _, descriptors, _, _ = socket.recv_fds(connection, 4096, 1)
    if not descriptors:
        raise RuntimeFailedError("the OCI runtime did not send the terminal of the command")
    return descriptors[0]


def _translate_newlines(terminal: int) -> None:
    """Let a newline begin at the left, whatever the OCI runtime made of it."""
    attributes = termios.tcgetattr(terminal)
    attributes[1] |= termios.ONLCR
    termios.tcsetattr(terminal, termios.TCSANOW, attributes)


def _input(wanted: bool, ours: ExitStack, theirs: ExitStack) -> tuple[int | None, Input | None]:
    """A pipe whose reading end is for the command."""
    if not wanted:
        return None, None
    reading, writing = _pipe()
    theirs.callback(os.close, reading)
    end = Input(writing)
    ours.callback(end.close)
    return reading, end


def _output(wanted: bool, ours: ExitStack, theirs: ExitStack) -> tuple[int | None, Output | None]:
    """A pipe whose writing end is for the command."""
    if not wanted:
        return None, None
    reading, writing = _pipe()
    ours.callback(os.close, reading)
    theirs.callback(os.close, writing)
    return writing, Output(reading)


def _pipe() -> tuple[int, int]:
    reading, writing = os.pipe()
    with suppress(OSError):  # without privileges the pipes of all processes of a user share a limit
        fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, _PIPE_SIZE)
    return reading, writing
