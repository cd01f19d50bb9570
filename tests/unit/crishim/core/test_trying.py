from __future__ import annotations

import asyncio

import pytest
from structlog.testing import capture_logs

from crishim.core.errors import UnavailableError
from crishim.core.trying import survive, until_done

pytestmark = pytest.mark.anyio


class Work:
    """Fails so many times, then comes to its number."""

    def __init__(self, failures: int) -> None:
        self.failures = failures

    async def __call__(self) -> int:
        self.failures -= 1
        if self.failures >= 0:
            raise UnavailableError(f"{self.failures} more to come")
        return 7


async def test_what_succeeds_has_its_result() -> None:
    assert await survive(Work(0)(), "it.failed") == 7


async def test_a_failure_is_told_with_what_it_is_about() -> None:
    with capture_logs() as logs:
        assert await survive(Work(1)(), "it.failed", container="c1") is None
    assert logs == [{"event": "it.failed", "container": "c1", "error": "0 more to come", "log_level": "warning"}]


async def test_a_cancellation_is_no_failure() -> None:
    surviving = asyncio.create_task(survive(asyncio.sleep(1000), "it.failed"))
    await asyncio.sleep(0)
    surviving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await surviving


async def test_it_is_done_until_it_succeeds() -> None:
    work = Work(2)
    with capture_logs() as logs:
        await until_done(work, 0.0, "it.failed", container="c1")
    assert [(log["event"], log["container"], log["error"]) for log in logs] == [
        ("it.failed", "c1", "1 more to come"),
        ("it.failed", "c1", "0 more to come"),
    ]
    assert work.failures == -1
