"""StopContainer: one signal, a grace period, SIGKILL, and what is said when that is not enough."""

from __future__ import annotations

import asyncio

import pytest

from crishim.container.stop import stop
from crishim.core.errors import DeadlineError, SystemCallError
from crishim.model.container import State
from crishim.testing.container_world import ContainerWorld


async def test_stop_asks_before_it_kills(world: ContainerWorld) -> None:
    container_id = await world.run(stop_signal=0)
    await world.containers.stop(container_id, 10)
    assert world.runtime.signals == [(container_id, 15)]
    assert world.containers.get(container_id).exit_code == 143


async def test_a_container_that_does_not_listen_is_killed(world: ContainerWorld) -> None:
    world.runtime.deadly = set()
    container_id = await world.run()
    await world.containers.stop(container_id, 0.01)
    assert world.containers.get(container_id).exit_code == 137


async def test_a_second_stop_only_waits(world: ContainerWorld) -> None:
    """As of a kubelet that was restarted meanwhile."""
    world.runtime.deadly = set()
    container_id = await world.run()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(world.containers.stop(container_id, 10), 0.01)
    await world.containers.stop(container_id, 0.01)
    assert world.runtime.signals == [(container_id, 15)]
    assert world.containers.get(container_id).exit_code == 137


async def test_a_stop_signal_that_could_not_be_sent_is_by_the_next_stop(world: ContainerWorld) -> None:
    container_id = await world.run()
    world.runtime.failures["signal"] = SystemCallError("EMFILE")
    with pytest.raises(SystemCallError):
        await world.containers.stop(container_id, 10)
    world.runtime.failures.clear()
    await world.containers.stop(container_id, 10)
    assert world.runtime.signals == [(container_id, 15)]


async def test_a_stop_that_waits_in_vain_says_for_what(world: ContainerWorld) -> None:
    container = world.containers.get(await world.run())
    world.runtime.hold_delete = asyncio.Event()
    with pytest.raises(DeadlineError, match="has ended, but not all of it is gone or recorded"):
        await stop(world.watch, world.runtime, container, grace=0, kill_seconds=0.01)
    assert world.containers.get(container.id).state is State.EXITED
    world.runtime.hold_delete.set()


async def test_no_grace_no_signal(world: ContainerWorld) -> None:
    container_id = await world.run()
    await world.containers.stop(container_id, 0)
    assert (world.runtime.signals, world.containers.get(container_id).exit_code) == ([], 137)


async def test_stop_and_remove_may_be_repeated(world: ContainerWorld) -> None:
    container_id = await world.run()
    for verb in (world.containers.stop(container_id, 1), world.containers.stop(container_id, 1)):
        await verb
    for _ in range(2):
        await world.containers.remove(container_id)
    await world.containers.stop("nosuch", 1)
