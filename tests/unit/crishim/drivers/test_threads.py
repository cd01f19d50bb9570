from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

from crishim.drivers import threads

pytestmark = pytest.mark.anyio

Runner = Callable[..., Awaitable[Any]]
both = pytest.mark.parametrize("runner", [threads.run, threads.run_alone])


def _fail() -> None:
    raise ValueError("no")


@both
async def test_it_returns_what_the_function_returns(runner: Runner) -> None:
    assert await runner(divmod, 7, 2) == (3, 1)


@both
async def test_it_raises_what_the_function_raises(runner: Runner) -> None:
    with pytest.raises(ValueError, match="no"):
        await runner(_fail)


@both
async def test_a_cancelled_task_ends_after_its_work(runner: Runner) -> None:
    begun, go_on = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()
    ended: list[bool] = []

    def work() -> None:
        loop.call_soon_threadsafe(begun.set)
        ended.append(go_on.wait(5))

    task = asyncio.ensure_future(runner(work))
    await begun.wait()
    task.cancel()
    loop.call_later(0.01, go_on.set)
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended == [True]


@both
async def test_a_deadline_waits_for_the_work(runner: Runner) -> None:
    started = time.monotonic()
    with anyio.move_on_after(0.001):
        await runner(time.sleep, 0.02)
    assert time.monotonic() - started >= 0.02


async def test_only_so_many_run_at_a_time() -> None:
    before = _count()
    counts = await asyncio.gather(*(threads.run(_count) for _ in range(20 * threads.MOST)))
    assert max(counts) <= before + threads.MOST


async def test_a_thread_alone_is_no_other_thread_and_ends() -> None:
    before = {thread.native_id for thread in threading.enumerate()}
    thread = await threads.run_alone(threading.get_native_id)
    assert thread not in before
    with anyio.fail_after(5):
        while _lives(thread):  # noqa: ASYNC110  # nobody can wait for such a thread
            await asyncio.sleep(0.001)


def _count() -> int:
    return len(list(Path("/proc/self/task").iterdir()))


def _lives(thread: int) -> bool:
    return Path(f"/proc/self/task/{thread}").exists()
