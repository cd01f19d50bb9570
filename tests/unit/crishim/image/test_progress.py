"""The time-out of a pull without progress."""

from __future__ import annotations

import asyncio

import pytest

from crishim.core.errors import DeadlineError
from crishim.image.progress import MIN_BYTES, Progress, Stage, Step, with_timeout

pytestmark = pytest.mark.anyio


def _progress(stage: Stage = Stage.DOWNLOADING) -> tuple[Progress, Step]:
    step = Step("sha256:1", 1 << 30, stage)
    return Progress("layers", [step]), step


async def _advancing(step: Step, by: int) -> str:
    for _ in range(12):
        await asyncio.sleep(0.05)
        step.at(step.offset + by, "reg.io")
    return "done"


async def test_progress_keeps_it_alive() -> None:
    progress, step = _progress()
    assert await with_timeout(lambda: _advancing(step, MIN_BYTES), progress, 0.25, "x") == "done"


async def test_a_trickle_is_no_progress() -> None:
    progress, step = _progress()
    with pytest.raises(
        DeadlineError, match=r"x: no progress for 0.25 s while waiting for: sha256:1 downloading.*reg.io"
    ):
        await with_timeout(lambda: _advancing(step, 1), progress, 0.25, "x")


async def test_unpacking_takes_the_time_it_takes() -> None:
    progress, _ = _progress(Stage.UNPACKING)
    await with_timeout(lambda: asyncio.sleep(0.6), progress, 0.2, "x")


async def test_no_limit() -> None:
    progress, _ = _progress()
    assert await with_timeout(lambda: asyncio.sleep(0.01, "done"), progress, 0, "x") == "done"


async def test_errors_of_the_work_are_its_own() -> None:
    async def fail() -> None:
        raise TimeoutError("its own")

    with pytest.raises(TimeoutError, match="its own"):
        await with_timeout(fail, Progress(), 5, "x")


def test_what_it_waits_for() -> None:
    assert Progress("resolving x").waiting_for() == "resolving x"
    assert _progress()[0].waiting_for() == "sha256:1 downloading, 0 of 1073741824 bytes"
