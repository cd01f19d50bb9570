"""Trying what may fail, where the failure is told and must not end what goes on around it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog

from crishim.core.errors import explain

T = TypeVar("T")

_log = structlog.get_logger(__name__)


async def survive(work: Awaitable[T], event: str, **about: object) -> T | None:
    """The result of ``work``; None when it fails, and then ``event`` is logged with the reason and ``about``."""
    try:
        return await work
    except Exception as error:
        _log.warning(event, **about, error=explain(error))
        return None


async def until_done(work: Callable[[], Awaitable[object]], seconds: float, event: str, **about: object) -> None:
    """Do ``work`` until it succeeds, ``seconds`` after each failure, which is logged as by ``survive``."""
    while True:
        try:
            await work()
        except Exception as error:
            _log.warning(event, **about, error=explain(error))
            await asyncio.sleep(seconds)
        else:
            return
