"""When to read on from a client, so that what nobody takes does not fill the memory."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import anyio

LIMIT = 1024 * 1024
"""Bytes of a connection that may wait for those who read its channels."""

_RESUME = LIMIT // 2
_HANG_UP_SECONDS = 2.0  # how often to look, while nothing is read, whether the client is still there


class Intake:
    """What came on a connection and waits in memory. One task reads the connection, and asks for room each time.

    ``hung_up`` and ``probe`` tell of a client that vanishes meanwhile: the end of its connection lies behind what is
    not read, but what is sent to nobody is refused at once. ``blocked`` is another reason not to read on; who knows
    that it may be over calls ``look_again``.
    """

    def __init__(
        self,
        hung_up: Callable[[], bool],
        probe: Callable[[], Awaitable[None]],
        blocked: Callable[[], bool] = lambda: False,
        seconds: float = _HANG_UP_SECONDS,
    ) -> None:
        self._hung_up, self._probe, self._blocked, self._seconds = hung_up, probe, blocked, seconds
        self._unread = 0
        self._changed = asyncio.Event()

    def came(self, count: int) -> None:
        """``count`` bytes are in memory."""
        self._unread += count

    def taken(self, count: int) -> None:
        """``count`` bytes that came are no longer in memory."""
        self._unread -= count
        if self._unread <= _RESUME:
            self._changed.set()

    def look_again(self) -> None:
        """What ``blocked`` tells may have changed."""
        self._changed.set()

    async def room(self) -> bool:
        """Wait until more may be read; False: the client is gone. Raises what ``probe`` raises."""
        limit = LIMIT
        while self._unread > limit or self._blocked():
            limit = _RESUME
            self._changed.clear()
            with anyio.move_on_after(self._seconds) as waiting:
                await self._changed.wait()
            if waiting.cancelled_caught:
                if self._hung_up():
                    return False
                await self._probe()
        return True
