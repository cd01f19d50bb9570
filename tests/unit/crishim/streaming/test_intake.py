"""When a connection is read on from, and what is done meanwhile to notice that the client is gone."""

from collections.abc import Callable
from functools import partial

import anyio
import pytest

from crishim.streaming.intake import LIMIT, Intake

pytestmark = pytest.mark.anyio


class Case:
    """An intake and its client, at whom it looks after ``seconds``."""

    def __init__(self, seconds: float = 60.0) -> None:
        self.gone = self.blocked = False
        self.probes = 0
        self.intake = Intake(lambda: self.gone, self.probe, lambda: self.blocked, seconds)

    async def probe(self) -> None:
        self.probes += 1

    def unblock(self) -> None:
        self.blocked = False
        self.intake.look_again()

    async def reads_on(self, after: Callable[[], None] = lambda: None) -> bool:
        """Whether the wait for room has ended soon after something was done."""
        with anyio.move_on_after(0.1) as waiting:
            async with anyio.create_task_group() as reader:
                reader.start_soon(self.intake.room)
                await anyio.wait_all_tasks_blocked()
                after()
        return not waiting.cancelled_caught


async def test_nothing_waits_up_to_the_limit() -> None:
    case = Case()
    case.intake.came(LIMIT)
    assert await case.reads_on()
    case.intake.came(1)
    assert not await case.reads_on()


async def test_reading_goes_on_when_half_is_taken() -> None:
    case = Case()
    case.intake.came(LIMIT + 1)
    assert await case.reads_on(after=partial(case.intake.taken, LIMIT // 2 + 1))


@pytest.mark.parametrize("seconds", [60.0, 0.01])
async def test_reading_does_not_go_on_before(seconds: float) -> None:
    case = Case(seconds)
    case.intake.came(LIMIT + 1)
    assert not await case.reads_on(after=partial(case.intake.taken, LIMIT // 2))


async def test_another_reason_to_wait() -> None:
    case = Case()
    case.blocked = True
    assert not await case.reads_on()
    assert await case.reads_on(after=case.unblock)


async def test_a_client_that_is_there_is_sent_something_while_nothing_is_read() -> None:
    case = Case(seconds=0.01)
    case.intake.came(LIMIT + 1)
    assert not await case.reads_on()
    assert case.probes > 1


async def test_a_client_that_hung_up_is_not_waited_for() -> None:
    case = Case(seconds=0.01)
    case.intake.came(LIMIT + 1)
    case.gone = True
    assert not await case.intake.room()
    assert case.probes == 0
