"""Tasks of which the first to end ends the others."""

from functools import partial

import anyio
import pytest

from crishim.streaming.race import Activity, alongside, first_of

pytestmark = pytest.mark.anyio


async def test_the_first_ends_the_others() -> None:
    with anyio.fail_after(5):
        await first_of(anyio.sleep_forever, partial(anyio.sleep, 0), anyio.sleep_forever)


async def test_the_body_is_cancelled_when_the_work_ends() -> None:
    reached = False
    async with alongside(partial(anyio.sleep, 0)):
        await anyio.sleep_forever()
        reached = True
    assert not reached


async def test_the_work_is_cancelled_when_the_body_ends() -> None:
    with anyio.fail_after(5):
        async with alongside(anyio.sleep_forever):
            pass


async def test_idleness_begins_anew_with_every_activity() -> None:
    activity, began = Activity(), anyio.current_time()
    async with alongside(partial(activity.idle, 0.1)):
        await anyio.sleep(0.06)
        activity.touch()
        await anyio.sleep_forever()
    assert anyio.current_time() - began >= 0.16


async def test_idleness_without_a_limit() -> None:
    with pytest.raises(TimeoutError), anyio.fail_after(0.01):
        await Activity().idle(0)
