"""Threads that are used again."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from functools import partial

import anyio
import pytest

from cni_runtime.net import threads
from cni_runtime.net.sockets import run_in_own_thread

pytestmark = pytest.mark.anyio


async def test_a_thread_is_used_again() -> None:
    assert await run_in_own_thread(threading.get_ident) == await run_in_own_thread(threading.get_ident)


async def test_jobs_at_one_time_have_threads_of_their_own() -> None:
    together = threading.Barrier(5, timeout=5)
    await asyncio.gather(*(run_in_own_thread(together.wait) for _ in range(5)))


async def test_a_failure_is_the_callers_and_the_thread_goes_on() -> None:
    def fail() -> None:
        raise LookupError(str(threading.get_ident()))

    with pytest.raises(LookupError) as failure:
        await run_in_own_thread(fail)
    assert await run_in_own_thread(threading.get_ident) == int(str(failure.value))


async def test_a_thread_that_leaves_takes_no_other_job() -> None:
    def leave() -> int:
        threads.leave()
        time.sleep(0.01)
        return threading.get_native_id()

    gone = await run_in_own_thread(leave)
    assert await run_in_own_thread(threading.get_native_id) != gone


async def test_a_cancelled_caller_waits_for_its_job() -> None:
    ended: list[bool] = []
    work = partial(_end_late, ended)
    task = asyncio.create_task(run_in_own_thread(work))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended == [True]


async def test_so_does_one_whose_time_is_up() -> None:
    ended: list[bool] = []
    work = partial(_end_late, ended)
    with anyio.move_on_after(0.01) as scope:
        await run_in_own_thread(work)
        ended.append(False)
    assert (scope.cancelled_caught, ended) == (True, [True])


async def test_who_is_cancelled_hears_nothing_of_a_failure() -> None:
    def fail() -> None:
        time.sleep(0.05)
        raise ValueError

    task = asyncio.create_task(run_in_own_thread(fail))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def test_a_child_process_does_not_wait_for_threads_of_its_parent() -> None:
    asyncio.run(run_in_own_thread(threading.get_ident))
    child = os.fork()
    if child == 0:
        signal.alarm(5)
        os._exit(asyncio.run(run_in_own_thread(lambda: 42)))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 42


def _end_late(ended: list[bool]) -> None:
    time.sleep(0.05)
    ended.append(True)
