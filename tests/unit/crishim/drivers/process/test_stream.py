from __future__ import annotations

import asyncio
import errno
import os
import selectors
from typing import Any

import pytest

from cni_runtime.testing.shortage import open_descriptors
from crishim.core.errors import SystemCallError
from crishim.drivers.process.stream import Collector, OutputFile

pytestmark = pytest.mark.anyio


def test_a_file_has_what_was_written_to_it() -> None:
    file = OutputFile(10)
    assert file.content() == b""
    os.write(file.writing, b"some")
    assert file.content() == b"some"
    file.close()


def test_a_file_does_not_grow_beyond_its_limit() -> None:
    file = OutputFile(10)
    os.write(file.writing, bytes(10))
    with pytest.raises(PermissionError):
        os.write(file.writing, bytes(5000))
    assert file.content() == bytes(10)
    file.close()


def test_a_file_that_can_not_be_made_is_closed() -> None:
    before = open_descriptors()
    with pytest.raises(SystemCallError, match="EINVAL"):
        OutputFile(-1)
    assert open_descriptors() == before


async def test_a_pipe_is_read_to_its_end() -> None:
    collector = Collector(100)
    os.write(collector.writing, b"one ")
    await asyncio.sleep(0)
    os.write(collector.writing, b"two")
    collector.begin()
    assert await collector.end() == b"one two"


async def test_what_is_beyond_the_limit_is_read_and_dropped() -> None:
    collector = Collector(5)
    for _ in range(3):
        os.write(collector.writing, b"1234")
    collector.begin()
    assert await collector.end() == b"12341"


async def test_closing_twice_is_fine() -> None:
    collector = Collector(5)
    collector.close()
    collector.close()
    assert await collector.end() == b""


class FullSelector(selectors.EpollSelector):
    """It can watch nothing but what the event loop has it watch from the start, see ENOSPC in epoll_ctl(2)."""

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        if self.get_map():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return super().register(fileobj, events, data)


def test_a_pipe_that_can_not_be_watched_is_closed() -> None:
    async def collect() -> None:
        before = open_descriptors()
        with pytest.raises(SystemCallError, match="ENOSPC"):
            Collector(1)
        assert open_descriptors() == before

    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(FullSelector())) as runner:
        runner.run(collect())
