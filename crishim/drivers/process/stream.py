"""What a program writes: read by the event loop as it comes, kept up to a limit."""

from __future__ import annotations

import asyncio
import os

import anyio

_CHUNK = 1 << 16


class Collector:
    """Reads a pipe that a program writes to. What is beyond ``limit`` bytes is read and dropped."""

    def __init__(self, limit: int) -> None:
        """Make the pipe: ``writing`` is for the program; ``begin`` once it has been handed over."""
        self._loop = asyncio.get_running_loop()
        self._limit = limit
        self._kept = bytearray()
        self._end = anyio.Event()
        self._reading, self.writing = os.pipe()
        self._is_ours = True
        os.set_blocking(self._reading, False)
        self._loop.add_reader(self._reading, self._read)

    def begin(self) -> None:
        """Give up the writing end, so that the pipe ends when the program and its children are done with it."""
        if self._is_ours:
            self._is_ours = False
            os.close(self.writing)

    async def end(self) -> bytes:
        """Wait until nobody can write any more; what was kept."""
        await self._end.wait()
        return bytes(self._kept)

    def so_far(self) -> bytes:
        """Take what is in the pipe now, close it and return what was kept: a program may leave writers behind."""
        for _ in range(self._limit // _CHUNK + 1):
            if self._end.is_set() or not self._read():
                break
        self.close()
        return bytes(self._kept)

    def close(self) -> None:
        """Read no more."""
        self.begin()
        if not self._end.is_set():
            self._loop.remove_reader(self._reading)
            os.close(self._reading)
            self._end.set()

    def _read(self) -> bool:
        try:
            chunk = os.read(self._reading, _CHUNK)
        except BlockingIOError:
            return False
        self._kept += chunk[: self._limit - len(self._kept)]
        if not chunk:
            self.close()
        return bool(chunk)
