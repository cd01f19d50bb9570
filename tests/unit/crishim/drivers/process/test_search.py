from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from crishim.drivers.process.child import Child
from crishim.drivers.process.identity import ProcessId
from crishim.drivers.process.search import command_lines, group_members, kill_group
from crishim.drivers.process.spawn import Program
from crishim.testing.memory import traced_memory
from tests.unit.crishim.drivers.process.conftest import Until

pytestmark = pytest.mark.anyio


async def shell(script: str) -> Child:
    return await Child.start(Program(argv=("/bin/sh", "-c", script), env={"PATH": "/usr/bin:/bin"}))


async def test_a_command_line_is_found_as_it_was_given(until: Until) -> None:
    child = await shell("sleep 1000; echo 'a  b'")
    given = ("/bin/sh", "-c", "sleep 1000; echo 'a  b'")
    await until(lambda: command_lines().get(child.identify()) == given)  # the kernel starts it before it has its own
    await child.end()


async def test_nobody_who_shows_too_much_is_read_to_the_end(until: Until) -> None:
    argv = ("/bin/sh", "-c", "sleep 1000; true", *["x" * 100_000] * 10)
    child = await Child.start(Program(argv=argv, env={"PATH": "/usr/bin:/bin"}))
    shown = Path(f"/proc/{child.pid}/cmdline")
    await until(lambda: len(shown.read_bytes()) > 1_000_000)
    with traced_memory() as peak:
        assert child.identify() not in command_lines()
        assert peak() < 1_000_000
    await child.end()


async def test_a_group_is_killed_with_all_its_members(until: Until) -> None:
    child = await shell("sleep 1000 & sleep 1000; true")
    leader = child.identify()
    await until(lambda: len(group_members(leader)) == 3)
    async with asyncio.timeout(10):
        await kill_group(leader)
    assert await child.wait() == -9
    assert group_members(leader) == []


async def test_whoever_leads_no_group_is_killed_alone(until: Until) -> None:
    child = await shell("sleep 1000 & wait; exit 3")
    await until(lambda: len(group_members(child.identify())) == 2)
    member = next(process for process in group_members(child.identify()) if process.pid != child.pid)
    async with asyncio.timeout(10):
        await kill_group(member)
    assert await child.wait() == 3


async def test_the_group_of_a_stranger_is_left_alone() -> None:
    child = await shell("sleep 1000")
    stranger = ProcessId(child.pid, child.identify().start - 1)
    assert group_members(stranger) == []
    await kill_group(stranger)
    await kill_group(ProcessId(1 << 30, 1))
    assert child.status is None
    await child.end()
