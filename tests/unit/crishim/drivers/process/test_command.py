from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from cni_runtime.testing.shortage import no_descriptors_left, open_descriptors
from crishim.core.errors import DeadlineError, SystemCallError
from crishim.drivers.process.command import OUTPUT_LIMIT, Ended, run
from crishim.drivers.process.search import command_lines
from tests.unit.crishim.drivers.process.conftest import Until

pytestmark = pytest.mark.anyio

ENV = {"PATH": "/usr/bin:/bin"}


async def shell(script: str, seconds: float = 20.0) -> Ended:
    return await run(("/bin/sh", "-c", script), env=ENV, seconds=seconds)


async def test_status_and_output_are_returned() -> None:
    assert await shell("echo out; echo err >&2; cat; exit 3") == Ended(3, b"out\n", b"err\n")


async def test_a_signal_counts_below_zero() -> None:
    assert (await shell("kill -15 $$")).status == -15


async def test_output_is_limited() -> None:
    ended = await shell("yes")
    assert ended.status != 0
    assert len(ended.stdout) == OUTPUT_LIMIT


async def test_what_a_program_leaves_behind_is_not_waited_for() -> None:
    begin = time.monotonic()
    assert (await shell("sleep 5 & exit 0")).status == 0
    assert time.monotonic() - begin < 4


def running(name: Path) -> int:
    """How many processes name this path in their arguments."""
    return sum(str(name) in " ".join(arguments) for arguments in command_lines().values())


async def test_a_program_that_takes_too_long_is_killed_with_its_group(tmp_path: Path, until: Until) -> None:
    with pytest.raises(DeadlineError, match=r"did not end within 0\.1 s and was killed"):
        await shell(f"sh -c ': {tmp_path}; sleep 1000; :' & wait", seconds=0.1)
    await until(lambda: running(tmp_path) == 0)


async def test_a_caller_that_goes_away_ends_the_program(tmp_path: Path, until: Until) -> None:
    task = asyncio.create_task(shell(f": {tmp_path}; sleep 1000; :"))
    await until(lambda: running(tmp_path) == 1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert running(tmp_path) == 0


async def test_a_program_that_cannot_be_started_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("not a program")
    with pytest.raises(SystemCallError, match="Permission denied"):
        await run((str(tmp_path / "text"),), env=ENV, seconds=1)


async def test_no_descriptor_is_kept() -> None:
    before = open_descriptors()
    await shell("echo")
    assert open_descriptors() == before


async def test_no_descriptor_is_kept_when_there_are_too_few() -> None:
    before = open_descriptors()
    with no_descriptors_left(but=1), pytest.raises(SystemCallError, match="EMFILE"):
        await shell("echo")
    assert open_descriptors() == before
