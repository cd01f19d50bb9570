"""What is left for later is done, also when a part of it fails. What becomes of links is in tests/netns."""

from __future__ import annotations

import asyncio
import logging
import threading
from functools import partial

import anyio
import anyio.to_thread
import pytest

from cni_runtime.net.inspect import Link
from cni_runtime.net.quiesce import Reaper
from cni_runtime.testing.shortage import no_descriptors_left, no_threads_left

pytestmark = pytest.mark.anyio


def refuse() -> None:
    raise OSError("refused")


async def test_a_chore_that_fails_is_logged_and_the_others_are_done(caplog: pytest.LogCaptureFixture) -> None:
    reaper, done = Reaper(delay=0), list[str]()
    for name in ("first", "second"):
        reaper.later(f"refused before the {name}", refuse)
        reaper.later(name, partial(done.append, name))
    with caplog.at_level(logging.ERROR):
        await reaper.aclose()
    assert done == ["first", "second"]
    assert [record.getMessage() for record in caplog.records] == ["could not do what was left for later"] * 2


async def test_chores_are_done_when_links_cannot_be_deleted() -> None:
    reaper, done = Reaper(), list[str]()
    reaper.expect(Link("veth1", 1))
    reaper.later("chore", lambda: done.append("chore"))
    with no_descriptors_left(), pytest.raises(OSError, match="Too many open files"):
        await reaper.flush()
    assert done == ["chore"]
    await reaper.aclose()


async def test_links_that_could_not_be_deleted_are_tried_again() -> None:
    reaper = Reaper()
    reaper.expect(Link("veth1", 1))
    for _ in range(2):
        with no_descriptors_left(), pytest.raises(OSError, match="Too many open files"):
            await reaper.flush()
    await reaper.aclose()


async def test_what_there_was_no_thread_for_is_done_with_the_next_flush() -> None:
    reaper, done = Reaper(), list[str]()
    reaper.later("chore", partial(done.append, "chore"))
    with no_threads_left(), pytest.raises(RuntimeError, match="start new thread"):
        await reaper.flush()
    await reaper.aclose()
    assert done == ["chore"]


async def test_the_task_goes_on_after_a_lack_of_threads() -> None:
    reaper, done, loop = Reaper(delay=0), asyncio.Event(), asyncio.get_running_loop()

    def chore() -> None:
        loop.call_soon_threadsafe(done.set)

    with no_threads_left():
        reaper.later("chore", chore)
        await asyncio.sleep(0.02)
    await asyncio.wait_for(done.wait(), 5)
    await reaper.aclose()


async def test_closing_waits_for_a_chore_that_is_under_way() -> None:
    reaper, begun, go_on = Reaper(delay=0), threading.Event(), threading.Event()

    def chore() -> None:
        begun.set()
        go_on.wait()

    reaper.later("chore", chore)
    await anyio.to_thread.run_sync(begun.wait)
    closing = asyncio.create_task(reaper.aclose())
    ended, _ = await asyncio.wait([closing], timeout=0.02)
    go_on.set()
    await closing
    assert not ended
