"""Turns of the calls that make and remove pods and containers, lest those that only ask wait behind all of them.

They keep the interpreter busy, which does one thing at a time: more of them at once finish no sooner, and every other
answer takes as many times longer.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, nullcontext

# StopContainer is not among them: it mostly waits for others, and its signal is not to come late.
_CALLS = (
    "RunPodSandbox",
    "StopPodSandbox",
    "RemovePodSandbox",
    "CreateContainer",
    "StartContainer",
    "RemoveContainer",
)
_MOST = 4
_SECONDS = 0.1


class Turns:
    """At most ``at_once`` calls have a turn, first come, first served.

    A call that takes longer than ``seconds`` waits for something else, maybe for ever: it no longer counts.
    """

    def __init__(self, at_once: int = min(_MOST, os.cpu_count() or 1), seconds: float = _SECONDS) -> None:
        self._free, self._seconds = asyncio.Semaphore(at_once), seconds

    def of(self, rpc: str) -> Callable[[], AbstractAsyncContextManager[None]]:
        """What the calls of ``rpc`` are to be within."""
        return self.one if rpc in _CALLS else nullcontext

    def one(self) -> AbstractAsyncContextManager[None]:
        """Wait for a turn, and have it during the body."""
        return _Turn(self._free, self._seconds)


class _Turn(AbstractAsyncContextManager[None]):
    """A turn of one call."""

    def __init__(self, free: asyncio.Semaphore, seconds: float) -> None:
        self._free, self._seconds = free, seconds

    async def __aenter__(self) -> None:
        await self._free.acquire()
        self._counts = True
        self._timer = asyncio.get_running_loop().call_later(self._seconds, self._end)

    async def __aexit__(self, *_: object) -> None:
        self._timer.cancel()
        self._end()

    def _end(self) -> None:
        if self._counts:
            self._counts = False
            self._free.release()
