"""Work that must come to its end, whatever becomes of the task that asked for it."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

import anyio

_T = TypeVar("_T")


async def finish(work: Coroutine[Any, Any, _T]) -> _T:
    """Run ``work`` to its end even when this task is cancelled meanwhile; the cancellation goes on afterwards."""
    task = asyncio.create_task(work, name="cni_runtime: finish")
    interrupted: asyncio.CancelledError | None = None
    # The shield holds off cancellation by an anyio scope, the loop outlasts that by Task.cancel().
    with anyio.CancelScope(shield=True):
        while not task.done():
            try:
                await asyncio.wait({task})
            except asyncio.CancelledError as exc:
                interrupted = exc
    if interrupted is not None:
        raise interrupted
    return task.result()
