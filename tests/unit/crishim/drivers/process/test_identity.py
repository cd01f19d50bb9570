from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import threading
from collections.abc import Iterator

import pytest

from crishim.core.errors import SystemCallError
from crishim.drivers.process.identity import ProcessId, Stat, ended, identify, opened, parse_stat, read_stat, send

pytestmark = pytest.mark.anyio


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "1000"]) as process:
        yield process
        process.kill()


def test_a_name_can_hold_anything() -> None:
    numbers = " ".join(str(number) for number in range(5, 30))
    assert parse_stat(f"7 (a) b (Z 1) S 2 3 4 {numbers}".encode()) == Stat("S", 2, 3, 18, 20)


@pytest.mark.parametrize(
    ("state", "threads", "has_ended"), [("R", 1, False), ("Z", 1, True), ("Z", 2, False), ("X", 0, True)]
)
def test_a_process_lives_as_long_as_any_of_its_threads(state: str, threads: int, has_ended: bool) -> None:
    assert Stat(state, 1, 1, threads, 1).has_ended is has_ended


def test_a_thread_is_no_process() -> None:
    go_on = threading.Event()
    thread = threading.Thread(target=go_on.wait)
    thread.start()
    assert thread.native_id is not None
    stat = read_stat(thread.native_id)
    assert stat is not None
    try:
        assert not send(ProcessId(thread.native_id, stat.start), 0)
    finally:
        go_on.set()
        thread.join()


def test_this_process_is_known() -> None:
    stat = read_stat(os.getpid())
    assert stat is not None
    assert (stat.parent, stat.group) == (os.getppid(), os.getpgrp())
    assert identify(os.getpid()) == ProcessId(os.getpid(), stat.start)


@pytest.mark.parametrize("pid", [-1, 0, 1, 1 << 30])
def test_nobody_has_such_an_id(pid: int) -> None:
    assert identify(pid) is None


@pytest.mark.parametrize("pid", [-1, 0, 1])
def test_no_signal_goes_to_more_than_one_process(pid: int) -> None:
    with pytest.raises(SystemCallError, match="EINVAL"):
        send(ProcessId(pid, 0), signal.SIGCONT)


def test_a_signal_reaches_exactly_the_process_that_is_meant(sleeper: subprocess.Popen[bytes]) -> None:
    process = identify(sleeper.pid)
    assert process is not None
    assert not send(ProcessId(sleeper.pid, process.start - 1), signal.SIGKILL)
    assert sleeper.poll() is None
    assert send(process, signal.SIGTERM)
    assert sleeper.wait() == -signal.SIGTERM
    assert not send(process, signal.SIGTERM)


async def test_the_end_of_a_process_is_waited_for(sleeper: subprocess.Popen[bytes]) -> None:
    process = identify(sleeper.pid)
    assert process is not None
    waiting = asyncio.create_task(ended(process))
    await asyncio.sleep(0.01)
    assert not waiting.done()
    sleeper.kill()
    async with asyncio.timeout(5):
        await waiting
        await ended(process)


async def test_a_stranger_with_the_same_id_is_not_waited_for(sleeper: subprocess.Popen[bytes]) -> None:
    async with asyncio.timeout(5):
        await ended(ProcessId(sleeper.pid, 1))


def test_no_descriptor_is_kept(sleeper: subprocess.Popen[bytes]) -> None:
    process = identify(sleeper.pid)
    assert process is not None
    with opened(process) as pidfd:
        assert pidfd is not None
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(pidfd)
