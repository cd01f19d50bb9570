"""What a client has sent on one channel and nobody has read yet."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable


class Inbox:
    """Chunks of bytes, put in by the task that reads the connection, taken out by one other task.

    It has no limit of its own: ``on_taken`` is told how many bytes left the memory, and whoever feeds it stops in time.
    """

    def __init__(self, on_taken: Callable[[int], None]) -> None:
        self._on_taken = on_taken
        self._chunks: deque[bytes] = deque()
        self._changed = asyncio.Event()
        self._ended = self._discarding = False
        self._error: Exception | None = None

    async def read(self) -> bytes:
        """The next chunk, or nothing at the end; raises the error that ``fail`` was given when all is read."""
        while not self._chunks:
            if self._error is not None:
                raise self._error
            if self._ended:
                return b""
            self._changed.clear()
            await self._changed.wait()
        chunk = self._chunks.popleft()
        self._on_taken(len(chunk))
        return chunk

    def discard(self) -> None:
        """Throw away what is there and what comes."""
        self._discarding = True
        while self._chunks:
            self._on_taken(len(self._chunks.popleft()))

    def feed(self, data: bytes) -> None:
        """``data``, which is not empty, has come; after the end it is thrown away."""
        if self._discarding or self._ended:
            self._on_taken(len(data))
        else:
            self._chunks.append(data)
            self._changed.set()

    def end(self) -> None:
        """Nothing more comes."""
        self._ended = True
        self._changed.set()

    def fail(self, error: Exception) -> None:
        """Nothing more comes, for a reason that readers are to know."""
        self._error = self._error or error
        self._changed.set()
