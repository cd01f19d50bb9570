"""The snapshot of usage: at once while it is fresh, renewed when it is not."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence

import pytest
from msgspec.structs import replace

from crishim.container.stats import DISK_SECONDS, FEW, FRESH_SECONDS, Stats, nano_cores
from crishim.core.tasks import TaskOwner
from crishim.drivers.cgroups.stats import CpuStats, GroupStats, MemoryStats
from crishim.drivers.descriptors import Descriptors
from crishim.drivers.usage import DiskUsage, InterfaceUsage, parse_interfaces
from crishim.model.container import Container, Event
from crishim.model.sandbox import Sandbox
from crishim.testing.container_world import POD_PID, ContainerWorld, example_sandbox
from crishim.testing.failures import Failures


def group(timestamp: int, usage: int | None) -> GroupStats:
    return GroupStats(timestamp, CpuStats(usage=usage), MemoryStats())


ETH0 = InterfaceUsage("eth0", 1, 1, 0, 0, 1, 1, 0, 0)


class CountingUsage:
    """Every look finds one second and half a second of processor time more."""

    def __init__(self) -> None:
        self.looks, self.looked = 0, asyncio.Event()
        self.read: set[str] = set()
        self.counted: list[str] = []  # whose descriptors were
        self.failures = Failures()
        self.hold: asyncio.Event | None = None  # holds back what the next look at groups has found
        self.endless = ""  # the container whose disk takes for ever

    async def groups(self, containers: Sequence[Container], sandboxes: Sequence[Sandbox]) -> dict[str, GroupStats]:
        self.failures.strike("groups")
        self.looks += 1
        self.looked.set()
        self.read |= {container.id for container in containers}
        found = group(self.looks * 10**9, self.looks * 10**9 // 2)
        hold, self.hold = self.hold, None
        if hold is not None:
            await hold.wait()
        return dict.fromkeys([container.id for container in containers], found)

    async def disk(self, container: Container) -> DiskUsage:
        self.failures.strike("disk")
        if container.id == self.endless:
            await asyncio.Event().wait()
        return DiskUsage(1, "/upper", 4096, 2, 10**6, 100, 90)

    async def interfaces(self, sandboxes: Sequence[Sandbox]) -> dict[str, tuple[InterfaceUsage, ...]]:
        self.failures.strike("interfaces")
        return {sandbox.id: (ETH0,) for sandbox in sandboxes}

    async def descriptors(self, containers: Sequence[Container]) -> dict[str, Descriptors]:
        self.counted += [container.id for container in containers]
        self.failures.strike("descriptors")
        return {container.id: Descriptors(1, 8, 3) for container in containers[:1]}


def no_sandboxes() -> Iterable[Sandbox]:
    return ()


@pytest.fixture
def usage() -> CountingUsage:
    return CountingUsage()


async def test_a_new_container_is_read_on_the_spot(world: ContainerWorld, usage: CountingUsage) -> None:
    container = world.containers.get(await world.run())
    owner = TaskOwner()
    (found,) = await Stats(world.index, usage, owner, no_sandboxes).of_containers([container])
    assert (found.group is not None, found.disk.bytes if found.disk else 0) == (True, 4096)
    await owner.aclose()


async def test_a_fresh_snapshot_is_not_read_again(world: ContainerWorld, usage: CountingUsage) -> None:
    container = world.containers.get(await world.run())
    owner = TaskOwner()
    stats = Stats(world.index, usage, owner, no_sandboxes)
    for _ in range(5):
        await stats.of_containers([container])
    assert usage.looks == 1
    await owner.aclose()


async def test_few_that_are_old_are_read_on_the_spot(world: ContainerWorld, usage: CountingUsage) -> None:
    """As whoever asks twice within a second or two wants to see what has changed."""
    container = world.containers.get(await world.run())
    owner, now = TaskOwner(), [1000.0]
    stats = Stats(world.index, usage, owner, no_sandboxes, clock=lambda: now[0])
    await stats.of_containers([container])
    now[0] += FRESH_SECONDS
    (found,) = await stats.of_containers([container])
    assert (usage.looks, found.nano_cores) == (2, 10**9 // 2)
    await owner.aclose()


async def test_of_two_that_read_at_once_the_later_counts(world: ContainerWorld, usage: CountingUsage) -> None:
    container = world.containers.get(await world.run())
    owner, now = TaskOwner(), [1000.0]
    stats = Stats(world.index, usage, owner, no_sandboxes, clock=lambda: now[0])
    slow = usage.hold = asyncio.Event()
    first = asyncio.ensure_future(stats.of_containers([container]))
    await usage.looked.wait()
    now[0] += 0.005
    (second,) = await stats.of_containers([container])
    slow.set()
    assert [found.group for found in (*await first, second)] == [group(2 * 10**9, 10**9)] * 2
    await owner.aclose()


async def test_many_that_are_old_are_read_for_the_next_caller(world: ContainerWorld, usage: CountingUsage) -> None:
    containers = [world.containers.get(await world.run(f"c{number}")) for number in range(FEW + 1)]
    owner, now = TaskOwner(), [1000.0]
    stats = Stats(world.index, usage, owner, no_sandboxes, clock=lambda: now[0])
    await stats.of_containers(containers)
    usage.looked.clear()
    now[0] += FRESH_SECONDS
    found = await stats.of_containers(containers)
    assert (usage.looks, {each.nano_cores for each in found}) == (1, {None})
    await usage.looked.wait()
    for _ in range(100):  # until the renewal is through
        await asyncio.sleep(0)
    assert {each.nano_cores for each in await stats.of_containers(containers)} == {10**9 // 2}
    await owner.aclose()


async def test_many_are_not_waited_for_because_of_a_new_one(world: ContainerWorld, usage: CountingUsage) -> None:
    containers = [world.containers.get(await world.run(f"c{number}")) for number in range(FEW + 1)]
    owner = TaskOwner()
    stats = Stats(world.index, usage, owner, no_sandboxes)
    await stats.of_containers(containers)
    new = world.containers.get(await world.run("new"))
    *others, last = await stats.of_containers([*containers, new])
    assert (usage.looks, last.group, last.disk) == (1, None, None)
    assert all(each.group and each.disk for each in others)
    await owner.aclose()


async def test_what_starts_is_known_at_the_first_question(world: ContainerWorld, usage: CountingUsage) -> None:
    containers = [world.containers.get(await world.run(f"c{number}")) for number in range(FEW + 1)]
    owner = TaskOwner()
    stats = Stats(world.index, usage, owner, no_sandboxes)
    for container in containers:
        stats.on_container(container, Event.START)
    await usage.looked.wait()
    await asyncio.sleep(0)
    found = await stats.of_containers(containers)
    assert (usage.looks, all(each.group and each.disk for each in found)) == (1, True)
    await owner.aclose()


async def test_what_is_removed_is_forgotten(world: ContainerWorld, usage: CountingUsage) -> None:
    """Also when nobody ever asks, and when it is being read just then."""
    container = world.containers.get(await world.run())
    owner = TaskOwner()
    stats = Stats(world.index, usage, owner, no_sandboxes)
    (one,) = await stats.of_containers([container])
    await world.containers.remove(container.id)
    stats.on_container(container, Event.REMOVE)
    (other,) = await stats.of_containers([container])
    assert (one.group is not None, one.disk is not None, other.group, other.disk) == (True, True, None, None)
    await owner.aclose()


async def test_what_has_ended_has_no_processor_time_per_second(world: ContainerWorld, usage: CountingUsage) -> None:
    container = world.containers.get(await world.run())
    owner, now = TaskOwner(), [1000.0]
    stats = Stats(world.index, usage, owner, no_sandboxes, clock=lambda: now[0])
    for _ in range(2):
        now[0] += FRESH_SECONDS
        (one,) = await stats.of_containers([container])
    stats.on_container(container, Event.EXITED)
    (other,) = await stats.of_containers([container])
    assert (one.nano_cores, other.nano_cores) == (10**9 // 2, None)
    await owner.aclose()


async def test_infra_containers_are_not_read(world: ContainerWorld, usage: CountingUsage) -> None:
    containers = [world.containers.get(await world.run(f"c{number}", security=POD_PID)) for number in range(FEW + 1)]
    owner = TaskOwner()
    stats = Stats(world.index, usage, owner, no_sandboxes)
    await stats.of_containers(containers)
    assert usage.read == {container.id for container in containers}
    await owner.aclose()


async def test_a_pod_without_a_group_uses_what_its_containers_use(world: ContainerWorld, usage: CountingUsage) -> None:
    for name in ("a", "b"):
        await world.run(name)
    owner = TaskOwner()
    (found,) = await Stats(world.index, usage, owner, no_sandboxes).of_pods([example_sandbox()])
    assert (found.group and found.group.cpu.usage, len(found.containers)) == (10**9, 2)
    await owner.aclose()


@pytest.mark.parametrize("unreadable", ["disk", "interfaces"])
async def test_what_can_be_read_is_told(world: ContainerWorld, usage: CountingUsage, unreadable: str) -> None:
    await world.run()
    usage.failures[unreadable] = ValueError("no such number")
    owner = TaskOwner()
    (found,) = await Stats(world.index, usage, owner, no_sandboxes).of_pods([example_sandbox()])
    assert (found.group and found.group.cpu.usage, len(found.containers)) == (10**9 // 2, 1)
    await owner.aclose()


async def test_descriptors_are_counted_for_metrics_only(world: ContainerWorld, usage: CountingUsage) -> None:
    ids = [await world.run(name) for name in ("a", "b")]
    owner = TaskOwner()
    stats = Stats(world.index, usage, owner, no_sandboxes)
    (pod,) = await stats.of_pods([example_sandbox()])
    await stats.of_containers([each.container for each in pod.containers])
    assert usage.counted == []
    (found,) = await stats.for_metrics([example_sandbox()])
    assert usage.counted == ids
    assert [each.descriptors for each in found.containers] == [Descriptors(1, 8, 3), None]
    assert replace(found, containers=pod.containers) == pod
    await owner.aclose()


async def test_descriptors_that_can_not_be_counted_keep_no_figure_away(
    world: ContainerWorld, usage: CountingUsage
) -> None:
    await world.run()
    usage.failures["descriptors"] = OSError("too many open files")
    owner = TaskOwner()
    (found,) = await Stats(world.index, usage, owner, no_sandboxes).for_metrics([example_sandbox()])
    assert [(each.group is not None, each.descriptors) for each in found.containers] == [(True, None)]
    await owner.aclose()


async def test_counters_that_can_not_be_read_are_not_shown_as_fresh(
    world: ContainerWorld, usage: CountingUsage
) -> None:
    await world.run()
    owner, now = TaskOwner(), [1000.0]
    stats = Stats(world.index, usage, owner, no_sandboxes, clock=lambda: now[0])
    (one,) = await stats.of_pods([example_sandbox()])
    usage.failures["interfaces"] = OSError("too many open files")
    now[0] += FRESH_SECONDS
    (other,) = await stats.of_pods([example_sandbox()])
    assert (one.interfaces, other.interfaces, usage.looks) == ((ETH0,), (), 2)
    await owner.aclose()


async def test_what_has_gone_is_forgotten_when_no_disk_can_be_read(world: ContainerWorld, usage: CountingUsage) -> None:
    await world.run()
    owner, now, sandboxes = TaskOwner(), [1000.0], [example_sandbox()]
    stats = Stats(world.index, usage, owner, lambda: sandboxes, clock=lambda: now[0])
    (one,) = await stats.of_pods([example_sandbox()])
    sandboxes.clear()
    usage.failures["disk"] = usage.failures["groups"] = OSError("too many open files")
    now[0] += DISK_SECONDS + 1
    await stats.of_pods([])
    await asyncio.sleep(0)
    (other,) = await stats.of_pods([example_sandbox()])
    assert (one.interfaces, other.interfaces) == ((ETH0,), ())
    await owner.aclose()


async def test_a_disk_that_takes_for_ever_holds_up_no_other_figure(world: ContainerWorld, usage: CountingUsage) -> None:
    ids = [await world.run(name) for name in ("a", "b")]
    containers = [world.containers.get(container_id) for container_id in ids]
    usage.endless = ids[1]
    owner, now = TaskOwner(), [1000.0]
    stats = Stats(world.index, usage, owner, no_sandboxes, clock=lambda: now[0], patience=0.01)
    for _ in range(2):
        async with asyncio.timeout(5):
            one, other = await stats.of_containers(containers)
        assert (one.group is not None, one.disk is not None) == (True, True)
        assert (other.group is not None, other.disk) == (True, None)
        now[0] += FRESH_SECONDS
    await owner.aclose()


async def test_a_look_that_fails_is_tried_again(world: ContainerWorld, usage: CountingUsage) -> None:
    container = world.containers.get(await world.run())
    usage.failures["groups"] = OSError("too many open files")
    owner = TaskOwner()
    stats = Stats(world.index, usage, owner, no_sandboxes)
    (failed,) = await stats.of_containers([container])
    usage.failures.clear()
    (found,) = await stats.of_containers([container])
    assert (failed.group, found.group is not None) == (None, True)
    await owner.aclose()


async def test_a_stale_snapshot_is_waited_for(world: ContainerWorld, usage: CountingUsage) -> None:
    container = world.containers.get(await world.run())
    owner, hours = TaskOwner(), [1.0]
    stats = Stats(world.index, usage, owner, no_sandboxes, clock=lambda: hours[0] * 3600)
    await stats.of_containers([container])
    hours[0] = 2.0
    looks = usage.looks
    (found,) = await stats.of_containers([container])
    assert usage.looks > looks
    assert found.nano_cores == 10**9 // 2
    await owner.aclose()


@pytest.mark.parametrize(
    ("before", "now", "expected"),
    [
        (None, group(2, 2), None),
        (group(0, 0), group(2 * 10**9, 10**9), 5 * 10**8),
        (group(5, 0), group(5, 9), None),
        (group(0, 0), group(5 * 10**6, 10**7), None),
        (group(0, 9), group(10**9, 4), 0),
        (group(0, None), group(10**9, 4), None),
    ],
)
def test_processor_time_per_second(before: GroupStats | None, now: GroupStats, expected: int | None) -> None:
    assert nano_cores(before, now) == expected


def test_interfaces_are_read_without_the_loopback() -> None:
    counters = "1 2 3 0 0 0 0 0 7 8 9 0 0 0 0 0"
    text = f"Inter-|\n face |\n    lo: {counters}\n  eth0: {counters}\n"
    assert parse_interfaces(text.encode()) == (InterfaceUsage("eth0", 1, 2, 3, 0, 7, 8, 9, 0),)
