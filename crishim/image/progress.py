"""How far a pull has come: what each part is doing, for people and for the time-out. Pure but for clock and log."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeVar

import structlog

from crishim.core.errors import DeadlineError

T = TypeVar("T")

_log = structlog.get_logger(__name__)
_LOG_EVERY = 10.0

MIN_BYTES = 64 << 10
"""Fewer bytes than these in a whole time-out, or in one answer that breaks off, are no progress: a server that trickles
must not hold a pull forever."""


class Stage(StrEnum):
    """What happens to a part of an image."""

    WAITING = "waiting"
    DOWNLOADING = "downloading"
    DOWNLOADED = "downloaded"
    UNPACKING = "unpacking"
    DONE = "done"


@dataclass
class Step:
    """One part: ``offset`` of ``size`` bytes are there; ``host`` sent the last of them."""

    digest: str
    size: int
    stage: Stage = Stage.WAITING
    offset: int = 0
    host: str = ""

    def at(self, offset: int, host: str) -> None:
        """Take note of a download's position."""
        self.stage, self.offset, self.host = Stage.DOWNLOADING, offset, host

    def __str__(self) -> str:
        from_host = f" from {self.host}" if self.host else ""
        return f"{self.digest} {self.stage}, {self.offset} of {self.size} bytes{from_host}"


@dataclass
class Progress:
    """The parts of one pull in the order of the image, and what it does before they are known."""

    doing: str = "starting"
    steps: list[Step] = field(default_factory=list)

    @property
    def is_unpacking(self) -> bool:
        """Whether this machine itself is at work."""
        return any(step.stage is Stage.UNPACKING for step in self.steps)

    def mark(self) -> tuple[str, tuple[str, ...], int]:
        """Differs from an earlier one when there was progress."""
        received = sum(step.offset for step in self.steps)
        return self.doing, tuple(step.stage for step in self.steps), received // MIN_BYTES

    def waiting_for(self) -> str:
        """What is not done yet, in words."""
        open_steps = [str(step) for step in self.steps if step.stage in (Stage.DOWNLOADING, Stage.WAITING)]
        return "; ".join(open_steps[:3]) or self.doing


async def with_timeout(work: Callable[[], Coroutine[Any, Any, T]], progress: Progress, seconds: float, name: str) -> T:
    """The result of ``work()``; cancels it and raises DeadlineError after ``seconds`` without progress (0: never).

    What takes long is logged now and then.
    """
    try:
        async with asyncio.timeout(seconds if seconds > 0 else None) as limit:
            watch = asyncio.create_task(_watch(limit, progress, seconds), name=f"progress of {name}")
            try:
                return await work()
            finally:
                watch.cancel()
    except TimeoutError as exc:
        if not limit.expired():
            raise
        message = f"{name}: no progress for {seconds:g} s while waiting for: {progress.waiting_for()}"
        raise DeadlineError(message) from exc


async def _watch(limit: asyncio.Timeout, progress: Progress, seconds: float) -> None:
    loop = asyncio.get_running_loop()
    last, logged = progress.mark(), loop.time()
    while True:
        await asyncio.sleep(min(1.0, seconds / 10) if seconds > 0 else 1.0)
        current = progress.mark()
        if seconds > 0 and (current != last or progress.is_unpacking):
            limit.reschedule(loop.time() + seconds)
            last = current
        if loop.time() - logged >= _LOG_EVERY:
            logged = loop.time()
            _log.info("image.progress", doing=progress.doing, layers=[str(step) for step in progress.steps])
