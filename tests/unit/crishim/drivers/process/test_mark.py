from __future__ import annotations

import asyncio
import resource
import subprocess
from collections.abc import Iterator

import pytest

from crishim.drivers.process.mark import bearers, kill_bearers, new_mark, oci_rlimit
from tests.unit.crishim.drivers.process.conftest import Until

pytestmark = pytest.mark.anyio

RUNS_AWAY = "setsid sh -c 'setsid env -i sleep 1000 & wait' </dev/null >/dev/null 2>&1 & exec sleep 1000"


@pytest.fixture
def mark() -> Iterator[int]:
    """The mark of a shell, and of all it starts."""
    mark = new_mark()

    def put() -> None:
        resource.setrlimit(resource.RLIMIT_RTTIME, (mark, mark))

    with subprocess.Popen(["sh", "-c", RUNS_AWAY], preexec_fn=put) as process:  # noqa: PLW1509
        yield mark
        process.kill()


def test_marks_differ_and_are_as_good_as_no_limit() -> None:
    marks = {new_mark() for _ in range(100)}
    assert len(marks) == 100
    assert min(marks) >= 1 << 62
    assert max(marks) < 1 << 63


def test_the_oci_form_is_a_limit_of_the_process() -> None:
    assert oci_rlimit(7) == {"type": "RLIMIT_RTTIME", "soft": 7, "hard": 7}


def test_nobody_bears_a_new_mark() -> None:
    assert bearers(new_mark()) == []


async def test_all_that_a_process_starts_bears_its_mark_and_is_killed(mark: int, until: Until) -> None:
    await until(lambda: len(bearers(mark)) == 3)
    async with asyncio.timeout(10):
        await kill_bearers(mark)
    assert bearers(mark) == []
