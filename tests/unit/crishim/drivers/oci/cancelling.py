"""Callers that do not wait for what they have cancelled."""

from __future__ import annotations

import asyncio


async def cancel_often(task: asyncio.Task[object]) -> None:
    """Let ``task`` begin, then cancel it again and again until it has ended."""
    while not task.done():
        await asyncio.sleep(0)
        task.cancel()
    assert task.cancelled()
