from __future__ import annotations

import asyncio
import os

import pytest

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
