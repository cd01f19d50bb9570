"""What a program writes, kept up to a limit: in a file that is read at its end, or read as it comes."""

from __future__ import annotations

import asyncio
import fcntl
import os
from contextlib import ExitStack

import anyio

from crishim.drivers.syscalls import system_call

_CHUNK = 1 << 16


class OutputFile:
    """A file in memory that a program writes to. Nobody need read meanwhile, so waiting for the program is enough."""

    def __init__(self, limit: int) -> None:
        """Make a file that takes ``limit`` bytes; the program gets an error when it writes more.

        Raises SystemCallError.
        """
        with system_call("make", "a file for output"), ExitStack() as undo:
            self.writing = os.memfd_create("output", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
            undo.callback(os.close, self.writing)
            os.ftruncate(self.writing, limit)
            fcntl.fcntl(self.writing, fcntl.F_ADD_SEALS, fcntl.F_SEAL_GROW)
            undo.pop_all()

    def content(self) -> bytes:
        """What was written until now."""
        written = os.lseek(self.writing, 0, os.SEEK_CUR)  # the program shares the position
        return os.pread(self.writing, written, 0)

    def close(self) -> None:
        """Give the memory back, once the program is done with it too."""
        os.close(self.writing)


class Collector:
    """Reads a pipe that a program writes to. What is beyond ``limit`` bytes is read and dropped."""

    def __init__(self, limit: int) -> None:
        """Make the pipe: ``writing`` is for the program; ``begin`` once it has been handed over.

        Raises SystemCallError.
        """
        self._loop = asyncio.get_running_loop()
        self._limit = limit
        self._kept = bytearray()
        self._end = anyio.Event()
        self._is_ours = True
        with system_call("make", "a pipe for output"), ExitStack() as undo:
            self._reading, self.writing = os.pipe()
            undo.callback(os.close, self._reading)
            undo.callback(os.close, self.writing)
            os.set_blocking(self._reading, False)
            self._loop.add_reader(self._reading, self._read)
            undo.pop_all()

    def begin(self) -> None:
        """Give up the writing end, so that the pipe ends when the program and its children are done with it."""
        if self._is_ours:
            self._is_ours = False
            os.close(self.writing)

    async def end(self) -> bytes:
        """Wait until nobody can write any more; what was kept."""
        await self._end.wait()
        return bytes(self._kept)

    def close(self) -> None:
        """Read no more."""
        self.begin()
        if not self._end.is_set():
            self._loop.remove_reader(self._reading)
            os.close(self._reading)
            self._end.set()

    def _read(self) -> None:
        try:
            chunk = os.read(self._reading, _CHUNK)
        except BlockingIOError:
            return
        self._kept += chunk[: self._limit - len(self._kept)]
        if not chunk:
            self.close()
