from __future__ import annotations

import asyncio

import pytest

from crishim.rpc.turns import Turns

pytestmark = pytest.mark.anyio

LONG = 3600.0


class Calls:
    """Calls that note when they have their turn, and end when they are told."""

    def __init__(self, turns: Turns) -> None:
        self._turns, self.began, self.all_began = turns, list[int](), asyncio.Event()
        self.ends = [asyncio.Event() for _ in range(4)]

    async def call(self, number: int) -> None:
        async with self._turns.one():
            self.began.append(number)
            if len(self.began) == len(self.ends):
                self.all_began.set()
            await self.ends[number].wait()

    async def settle(self) -> None:
        for _ in range(20):
            await asyncio.sleep(0)


async def test_a_few_have_their_turn_in_the_order_they_came() -> None:
    calls = Calls(Turns(at_once=2, seconds=LONG))
    async with asyncio.TaskGroup() as group:
        for number in range(4):
            group.create_task(calls.call(number))
        await calls.settle()
        assert calls.began == [0, 1]
        calls.ends[1].set()
        await calls.settle()
        assert calls.began == [0, 1, 2]
        for end in calls.ends:
            end.set()
    assert calls.began == [0, 1, 2, 3]


async def test_whoever_takes_long_does_not_count() -> None:
    calls = Calls(Turns(at_once=1, seconds=0))
    async with asyncio.TaskGroup() as group:
        for number in range(4):
            group.create_task(calls.call(number))
        await calls.all_began.wait()
        for end in calls.ends:
            end.set()


async def test_a_call_that_is_cancelled_while_it_waits_takes_no_turn() -> None:
    turns = Turns(at_once=1, seconds=LONG)
    calls = Calls(turns)
    async with turns.one():
        waiting = asyncio.create_task(calls.call(0))
        await calls.settle()
        waiting.cancel()
        await asyncio.wait([waiting])
    async with turns.one():
        assert calls.began == []
