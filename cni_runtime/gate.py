"""Many may pass at once, or one alone: ADD and DEL share, GC excludes.

Source: CNI specification 1.1.0, section 3 "Lifecycle & Ordering".
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio


class Gate:
    """For one event loop. Who wants to be alone is let in before those who come later to share."""

    def __init__(self) -> None:
        self._sharing = 0
        self._alone = anyio.Lock()
        self._open: anyio.Event | None = None
        self._empty: anyio.Event | None = None

    @asynccontextmanager
    async def shared(self) -> AsyncIterator[None]:
        """Together with others."""
        while self._open is not None:
            await self._open.wait()
        self._sharing += 1
        try:
            yield
        finally:
            self._sharing -= 1
            if self._empty is not None and not self._sharing:
                self._empty.set()

    @asynccontextmanager
    async def exclusive(self) -> AsyncIterator[None]:
        """Alone."""
        async with self._alone:
            self._open, self._empty = anyio.Event(), anyio.Event()
            try:
                if self._sharing:
                    await self._empty.wait()
                yield
            finally:
                opened, self._open, self._empty = self._open, None, None
                opened.set()
