"""UpdateContainerResources: what comes of it, and two at once."""

from __future__ import annotations

import asyncio

import pytest

from crishim.core.errors import InvalidArgumentError
from crishim.model.pod import Resources
from crishim.testing.container_world import ContainerWorld


async def test_two_may_update_a_container_at_once(world: ContainerWorld) -> None:
    container_id = await world.run()
    wanted = (Resources(cpuset_cpus="3"), Resources(cpu_shares=512))
    await asyncio.gather(*(world.containers.update(container_id, each) for each in wanted))
    resources = world.containers.get(container_id).resources
    assert (resources.cpuset_cpus, resources.cpu_shares) == ("3", 512)
    assert world.runtime.updates[-1] == (container_id, {"cpu": {"cpus": "3", "shares": 512}})


@pytest.mark.parametrize(
    ("update", "memory"),
    [
        (Resources(memory_limit_in_bytes=200), {"limit": 200, "swap": 200}),
        (Resources(memory_limit_in_bytes=-1), {"limit": -1, "swap": -1}),
        (Resources(memory_swap_limit_in_bytes=250), {"limit": 100, "swap": 250}),
        (Resources(cpu_shares=9), {"limit": 100, "swap": 150}),
    ],
)
async def test_a_new_memory_limit_is_that_of_swap_too(
    world: ContainerWorld, update: Resources, memory: dict[str, int]
) -> None:
    container_id = await world.run(resources=Resources(memory_limit_in_bytes=100, memory_swap_limit_in_bytes=150))
    await world.containers.update(container_id, update)
    assert world.runtime.updates[-1][1]["memory"] == memory


async def test_a_quota_is_lifted_once(world: ContainerWorld) -> None:
    container_id = await world.run(resources=Resources(cpu_quota=50))
    for wanted in (Resources(cpu_quota=-1), Resources(cpu_shares=9)):
        await world.containers.update(container_id, wanted)
    assert [parts["cpu"] for _, parts in world.runtime.updates] == [{"quota": -1}, {"shares": 9}]


async def test_an_update_is_refused_by_what_would_come_of_it(world: ContainerWorld) -> None:
    container_id = await world.run(resources=Resources(memory_limit_in_bytes=100))
    with pytest.raises(InvalidArgumentError, match=r"^linux\.memory_swap_limit_in_bytes"):
        await world.containers.update(container_id, Resources(memory_swap_limit_in_bytes=50))
    assert world.runtime.updates == []


async def test_a_container_has_what_is_recorded_when_the_caller_of_an_update_goes(world: ContainerWorld) -> None:
    container_id = await world.run()
    updating = asyncio.create_task(world.containers.update(container_id, Resources(cpu_shares=512)))
    for _ in range(10):
        if not world.runtime.updates:
            await asyncio.sleep(0)
    updating.cancel()
    await asyncio.wait([updating])
    assert world.containers.get(container_id).resources.cpu_shares == 512
