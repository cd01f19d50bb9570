"""Work that outlasts the cancellation of whoever asked for it."""

import asyncio

import anyio
import pytest

from cni_runtime.tasks import finish, to_the_end

pytestmark = pytest.mark.anyio


class Work:
    """Takes a while."""

    done = False

    async def run(self) -> str:
        await anyio.sleep(0.03)
        self.done = True
        return "result"


async def test_the_result_comes_back() -> None:
    assert await finish(Work().run()) == "result"


async def test_an_error_comes_back() -> None:
    async def fail() -> None:
        raise ValueError("bug")

    with pytest.raises(ValueError, match="bug"):
        await finish(fail())


async def test_a_cancelled_scope_waits() -> None:
    results: list[str] = []
    with anyio.move_on_after(0.01) as scope:
        results.append(await finish(Work().run()))
        await anyio.lowlevel.checkpoint()
    assert (results, scope.cancelled_caught) == (["result"], True)


async def test_a_cancelled_task_waits_and_is_cancelled_then() -> None:
    work = Work()
    task = asyncio.create_task(finish(work.run()))
    for _ in range(3):
        await asyncio.sleep(0.005)
        task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert work.done


async def test_a_cancellation_tells_of_the_error_that_came_meanwhile() -> None:
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(to_the_end(future))
    await asyncio.sleep(0)
    task.cancel()
    future.set_exception(ValueError("bug"))
    with pytest.raises(asyncio.CancelledError) as caught:
        await task
    assert repr(caught.value.__cause__) == "ValueError('bug')"
