from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
from structlog.testing import capture_logs

from crishim.core.errors import NotFoundError, UnavailableError
from crishim.core.tasks import InFlight, KeyedLock, TaskOwner, both

pytestmark = pytest.mark.anyio


@pytest.fixture
async def owner() -> AsyncIterator[TaskOwner]:
    owner = TaskOwner()
    yield owner
    await owner.aclose()


async def fail() -> None:
    raise NotFoundError("gone")


async def test_a_task_has_its_name_and_result(owner: TaskOwner) -> None:
    async def work() -> int:
        return 7

    task = owner.spawn("work", work())
    assert (task.get_name(), await task) == ("work", 7)


async def test_a_failure_is_logged_with_the_name(owner: TaskOwner) -> None:
    with capture_logs() as records, pytest.raises(NotFoundError):
        await owner.spawn("watch", fail())
    assert [(record["event"], record["task"], record["error"]) for record in records] == [
        ("task failed", "watch", "gone")
    ]


async def test_a_critical_failure_ends_the_wait(owner: TaskOwner) -> None:
    owner.spawn("watch", fail(), critical=True)
    with pytest.raises(UnavailableError, match="task watch failed: gone"):
        await owner.first_failure_or(asyncio.Event().wait())


async def test_other_failures_do_not_end_the_wait(owner: TaskOwner) -> None:
    owner.spawn("watch", fail())
    await owner.first_failure_or(asyncio.sleep(0.01))


async def test_the_wait_fails_with_its_end(owner: TaskOwner) -> None:
    with pytest.raises(NotFoundError):
        await owner.first_failure_or(fail())


async def test_close_cancels_and_waits_for_the_undo(owner: TaskOwner) -> None:
    undone = asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.01)
            undone.set()

    task = owner.spawn("work", work())
    await asyncio.sleep(0)
    await owner.aclose()
    assert task.cancelled()
    assert undone.is_set()


async def test_close_leaves_a_stubborn_task_after_its_deadline() -> None:
    owner, end = TaskOwner(), asyncio.Event()

    async def stubborn() -> None:
        while not end.is_set():
            with suppress(asyncio.CancelledError):
                await end.wait()

    task = owner.spawn("mule", stubborn())
    await asyncio.sleep(0)
    with capture_logs() as records:
        await owner.aclose(0.01)
    end.set()
    await task
    assert [(record["event"], record["task"]) for record in records] == [("task did not end when cancelled", "mule")]


async def test_nothing_starts_after_close(owner: TaskOwner) -> None:
    await owner.aclose()
    with pytest.raises(UnavailableError, match="work: the server is stopping"):
        owner.spawn("work", fail())


class Work:
    """Counts its runs; each waits until the test lets it end."""

    def __init__(self) -> None:
        self.runs, self.gate, self.error = 0, asyncio.Event(), False

    async def __call__(self) -> int:
        self.runs += 1
        await self.gate.wait()
        if self.error:
            raise NotFoundError("gone")
        return self.runs


async def settle() -> None:
    for _ in range(3):
        await asyncio.sleep(0)


async def test_callers_with_the_same_key_share_the_work(owner: TaskOwner) -> None:
    flight, work = InFlight(owner), Work()
    callers = [asyncio.create_task(flight.run(key, work)) for key in ("a", "a", "b")]
    await settle()
    work.gate.set()
    assert await asyncio.gather(*callers) == [2, 2, 2]
    assert await flight.run("a", work) == 3


async def test_an_error_goes_to_every_caller_and_not_to_the_log(owner: TaskOwner) -> None:
    flight, work = InFlight(owner), Work()
    work.error = True
    work.gate.set()
    with capture_logs() as records:
        results = await asyncio.gather(flight.run("a", work), flight.run("a", work), return_exceptions=True)
    assert [type(result) for result in results] == [NotFoundError, NotFoundError]
    assert records == []


async def test_a_cancelled_caller_leaves_the_work_going(owner: TaskOwner) -> None:
    flight, work = InFlight(owner), Work()
    first, second = (asyncio.create_task(flight.run("a", work)) for _ in range(2))
    await settle()
    first.cancel()
    await settle()
    work.gate.set()
    assert await second == 1
    assert first.cancelled()


async def test_an_error_that_nobody_waits_for_is_logged(owner: TaskOwner) -> None:
    flight, work = InFlight(owner), Work()
    work.error = True
    caller = asyncio.create_task(flight.run("pod a", work))
    await settle()
    caller.cancel()
    await settle()
    with capture_logs() as records:
        work.gate.set()
        await settle()
    assert [record["task"] for record in records] == ["pod a"]


@pytest.mark.parametrize("started", [True, False])
async def test_callers_are_told_that_the_server_stops(owner: TaskOwner, started: bool) -> None:
    flight, work = InFlight(owner), Work()
    caller = asyncio.create_task(flight.run("a", work))
    await asyncio.sleep(0)
    if started:
        await settle()
    await owner.aclose()
    with pytest.raises(UnavailableError, match="a: the server is stopping"):
        await caller


async def test_a_keyed_lock_excludes_only_its_key() -> None:
    locks = KeyedLock()
    async with locks.hold("a"), locks.hold("b"):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01), locks.hold("a"):
                pytest.fail("the lock was held twice")
    async with asyncio.timeout(1), locks.hold("a"):
        pass


async def test_an_unused_lock_is_dropped() -> None:
    locks = KeyedLock()
    async with locks.hold("a"):
        waiter = asyncio.create_task(_hold(locks))
        await settle()
        waiter.cancel()
        await settle()
        assert list(locks._locks) == ["a"]
    assert not locks._locks


async def _hold(locks: KeyedLock) -> None:
    async with locks.hold("a"):
        pass


async def test_two_things_are_done_side_by_side() -> None:
    met = asyncio.Barrier(2)
    assert set(await both(met.wait(), met.wait())) == {0, 1}


@pytest.mark.parametrize("first", [True, False])
async def test_the_other_one_has_ended_when_one_fails(first: bool) -> None:
    ended: list[bool] = []

    async def slow() -> None:
        await asyncio.sleep(0.01)
        ended.append(True)

    with pytest.raises(NotFoundError):
        await (both(fail(), slow()) if first else both(slow(), fail()))
    assert ended == [True]


async def test_when_both_fail_nothing_is_kept_secret() -> None:
    with pytest.raises(NotFoundError) as caught:
        await both(fail(), fail())
    assert "NotFoundError" in caught.value.__notes__[0]


async def test_a_cancellation_of_before_cuts_nothing_off() -> None:
    """As in the undo of what was cancelled."""
    ended: list[bool] = []

    async def slow() -> None:
        await asyncio.sleep(0.01)
        ended.append(True)

    async def undo() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            await both(fail(), slow())

    task = asyncio.create_task(undo())
    await settle()
    task.cancel()
    with pytest.raises(NotFoundError):
        await task
    assert ended == [True]


async def test_a_cancellation_ends_both() -> None:
    ended: list[bool] = []

    async def work() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0.01)
            ended.append(True)

    task = asyncio.create_task(both(work(), work()))
    await settle()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended == [True, True]
