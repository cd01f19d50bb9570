"""Shared work: once for all, gone with the last."""

from __future__ import annotations

import asyncio
import threading

import pytest

from crishim.image.joining import Joined, cancellable, side_by_side

pytestmark = pytest.mark.anyio


class Work:
    """Work that ends when it is told to, and says how it ended."""

    def __init__(self) -> None:
        self.runs, self.ended, self.go = 0, "", asyncio.Event()

    async def __call__(self) -> int:
        self.runs += 1
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.ended = "cancelled"
            raise
        self.ended = "done"
        return 7


async def _callers(joined: Joined, work: Work, count: int) -> list[asyncio.Task[int]]:
    tasks = [asyncio.create_task(joined.run("key", work)) for _ in range(count)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    return tasks


async def test_one_run_for_all() -> None:
    work = Work()
    tasks = await _callers(Joined(), work, 3)
    work.go.set()
    assert (await asyncio.gather(*tasks), work.runs) == ([7, 7, 7], 1)


async def test_it_goes_on_for_those_who_stay() -> None:
    work = Work()
    first, second = await _callers(Joined(), work, 2)
    first.cancel()
    await asyncio.sleep(0)
    work.go.set()
    assert (await second, work.ended) == (7, "done")


async def test_it_ends_with_the_last() -> None:
    work = Work()
    tasks = await _callers(Joined(), work, 2)
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    assert work.ended == "cancelled"


async def test_a_new_caller_after_that_begins_anew() -> None:
    joined, work = Joined(), Work()
    (task,) = await _callers(joined, work, 1)
    task.cancel()
    await asyncio.wait([task])
    (task,) = await _callers(joined, work, 1)
    work.go.set()
    assert (await task, work.runs) == (7, 2)


async def test_an_error_goes_to_everyone() -> None:
    async def fail() -> None:
        await asyncio.sleep(0)
        raise ValueError("no")

    joined = Joined()
    results = await asyncio.gather(*(joined.run("key", fail) for _ in range(3)), return_exceptions=True)
    assert [str(result) for result in results] == ["no"] * 3


async def test_the_first_error_ends_what_runs_beside_it() -> None:
    work = Work()

    async def fail() -> None:
        await asyncio.sleep(0.01)
        raise ValueError("no")

    async def other() -> None:
        await work()

    with pytest.raises(ValueError, match="no"):
        await side_by_side([("other", other()), ("fail", fail())])
    assert work.ended == "cancelled"


async def test_blocking_work_is_told_and_waited_for() -> None:
    seen = threading.Event()

    def block(cancel: threading.Event) -> None:
        cancel.wait(5)
        seen.set()

    task = asyncio.create_task(cancellable(block))
    await asyncio.sleep(0.02)
    task.cancel()
    await asyncio.wait([task])
    assert (task.cancelled(), seen.is_set()) == (True, True)
