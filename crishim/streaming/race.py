"""Tasks of which the first to end ends the others, and the clock that ends a connection nobody uses."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import anyio

Work = Callable[[], Awaitable[object]]


async def first_of(*works: Work) -> None:
    """Run ``works`` until one of them ends. What one raises is raised in a group."""
    first, *others = works
    async with anyio.create_task_group() as group:
        for work in others:
            group.start_soon(_run_and_cancel, work, group.cancel_scope)
        await _run_and_cancel(first, group.cancel_scope)


@asynccontextmanager
async def alongside(work: Work) -> AsyncIterator[None]:
    """Run the body beside ``work``; when one ends, the other is cancelled. What one raises is raised in a group."""
    async with anyio.create_task_group() as group:
        group.start_soon(_run_and_cancel, work, group.cancel_scope)
        yield
        group.cancel_scope.cancel()


async def _run_and_cancel(work: Work, scope: anyio.CancelScope) -> None:
    await work()
    scope.cancel()


class Activity:
    """When something happened last on a connection."""

    def __init__(self) -> None:
        self._last = anyio.current_time()

    def touch(self) -> None:
        """Something happens now."""
        self._last = anyio.current_time()

    async def idle(self, seconds: float) -> None:
        """Wait until nothing has happened for ``seconds``; 0: for ever."""
        if not seconds:
            await anyio.sleep_forever()
        while anyio.current_time() < self._last + seconds:  # noqa: ASYNC110  # it sleeps as long as it has to
            await anyio.sleep_until(self._last + seconds)
