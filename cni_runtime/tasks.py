"""Work that must come to its end, whatever becomes of the task that asked for it."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

import anyio

_T = TypeVar("_T")


async def finish(work: Coroutine[Any, Any, _T]) -> _T:
    """Run ``work`` to its end even when this task is cancelled meanwhile; the cancellation goes on afterwards."""
    return await to_the_end(asyncio.create_task(work, name="cni_runtime: finish"))


async def to_the_end(future: asyncio.Future[_T]) -> _T:
    """The result of ``future``; a cancellation that arrives meanwhile is raised when the future is done."""
    cancelled: asyncio.CancelledError | None = None
    # The scope holds off cancellation by anyio, the loop outlasts that by Task.cancel().
    with anyio.CancelScope(shield=True):
        while not future.done():
            try:
                await asyncio.wait([future])
            except asyncio.CancelledError as error:
                cancelled = error
    if cancelled is not None:
        raise cancelled from future.exception()
    return future.result()
