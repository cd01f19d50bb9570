"""Many at once, or one alone."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import anyio
import pytest

from cni_runtime.gate import Gate

pytestmark = pytest.mark.anyio


class Log:
    """Who is inside, and the order in which they came."""

    def __init__(self) -> None:
        self.entered: list[str] = []
        self.leave = {name: anyio.Event() for name in ("a", "b", "gc")}

    async def stay(self, name: str, way: Callable[[], AbstractAsyncContextManager[None]]) -> None:
        async with way():
            self.entered.append(name)
            await self.leave[name].wait()


async def test_many_share() -> None:
    gate, log = Gate(), Log()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(log.stay, "a", gate.shared)
        tasks.start_soon(log.stay, "b", gate.shared)
        await anyio.wait_all_tasks_blocked()
        assert sorted(log.entered) == ["a", "b"]
        tasks.cancel_scope.cancel()


async def test_alone_waits_for_those_inside_and_holds_back_those_who_come() -> None:
    gate, log = Gate(), Log()
    async with anyio.create_task_group() as tasks:
        for name, way in (("a", gate.shared), ("gc", gate.exclusive), ("b", gate.shared)):
            tasks.start_soon(log.stay, name, way)
            await anyio.wait_all_tasks_blocked()
        for inside in (["a"], ["a", "gc"], ["a", "gc", "b"]):
            assert log.entered == inside
            log.leave[inside[-1]].set()
            await anyio.wait_all_tasks_blocked()


async def test_who_gives_up_waiting_lets_the_others_in() -> None:
    gate, log = Gate(), Log()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(log.stay, "a", gate.shared)
        await anyio.wait_all_tasks_blocked()
        with anyio.move_on_after(0.01):
            await log.stay("gc", gate.exclusive)
        tasks.start_soon(log.stay, "b", gate.shared)
        await anyio.wait_all_tasks_blocked()
        assert log.entered == ["a", "b"]
        tasks.cancel_scope.cancel()
