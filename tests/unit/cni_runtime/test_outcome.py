"""What a thread comes to reaches the event loop, whatever that is and whoever has been cancelled."""

import asyncio
import threading
import time

import anyio
import pytest

from cni_runtime.net import threads
from cni_runtime.outcome import Outcome, come

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(("error", "expected"), [(ValueError("no"), ValueError), (StopIteration(), RuntimeError)])
async def test_an_error_comes_back(error: Exception, expected: type[Exception]) -> None:
    def fail() -> None:
        raise error

    with pytest.raises(expected, match=r"no|StopIteration"):
        await asyncio.wait_for(threads.call(fail), 5)


async def test_a_cancellation_tells_of_the_error_that_came_meanwhile() -> None:
    go_on = threading.Event()

    def fail() -> None:
        go_on.wait(5)
        raise ValueError("bug")

    task = asyncio.create_task(threads.call(fail))
    await asyncio.sleep(0)
    task.cancel()
    go_on.set()
    with pytest.raises(asyncio.CancelledError) as caught:
        await task
    assert repr(caught.value.__cause__) == "ValueError('bug')"


async def test_who_is_cancelled_again_goes_on_to_wait() -> None:
    go_on, ended = threading.Event(), threading.Event()

    def work() -> None:
        go_on.wait(5)
        ended.set()

    task = asyncio.create_task(threads.call(work))
    for _ in range(3):
        await asyncio.sleep(0)
        task.cancel()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended.is_set()


async def test_a_wait_that_is_thrown_away_ends_in_peace() -> None:
    """As with a task that is pending when its event loop is closed."""
    outcome = Outcome[None]()
    waiting = come(outcome)
    waiting.send(None)
    waiting.throw(asyncio.CancelledError())
    waiting.close()
    assert not outcome.done()


async def test_anyio_does_not_cancel_again_and_again() -> None:
    began = time.thread_time()
    with anyio.move_on_after(0.01) as scope:
        await threads.call(lambda: time.sleep(0.5))
    assert scope.cancelled_caught
    assert time.thread_time() - began < 0.1
