"""What containers and pods use, as a snapshot that is renewed in the background.

A caller gets the snapshot at once. One that is older than ``FRESH_SECONDS`` starts a renewal for the next caller, and
one that is older than ``STALE_SECONDS`` is waited for; a container that is not in it yet is read on the spot. The disk
is walked much less often than the groups are read.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence

import structlog
from msgspec import Struct

from crishim.container.index import ContainerIndex
from crishim.container.ports import Usage
from crishim.core.clock import monotonic
from crishim.core.errors import explain
from crishim.core.tasks import TaskOwner
from crishim.drivers.cgroups.stats import GroupStats
from crishim.drivers.usage import DiskUsage, InterfaceUsage
from crishim.model.container import Container, State
from crishim.model.sandbox import Sandbox
from crishim.model.sandbox import State as SandboxState

_log = structlog.get_logger()

FRESH_SECONDS = 1.0
STALE_SECONDS = 5.0
DISK_SECONDS = 10.0


class ContainerStats(Struct, frozen=True):
    """What one container uses. ``nano_cores`` is its processor time per second of late; None before a second look."""

    container: Container
    group: GroupStats | None
    disk: DiskUsage | None = None
    nano_cores: int | None = None


class PodStats(Struct, frozen=True):
    """What a pod uses: its group as a whole, its interfaces by name, its containers."""

    sandbox: Sandbox
    group: GroupStats | None
    interfaces: tuple[InterfaceUsage, ...] = ()
    containers: tuple[ContainerStats, ...] = ()
    nano_cores: int | None = None


class Stats:
    """Keeps the snapshot."""

    def __init__(
        self,
        index: ContainerIndex,
        usage: Usage,
        owner: TaskOwner,
        sandboxes: Callable[[], Iterable[Sandbox]],
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._index, self._usage, self._owner, self._sandboxes = index, usage, owner, sandboxes
        self._clock = clock
        self._groups: dict[str, GroupStats] = {}
        self._rates: dict[str, int] = {}
        self._disks: dict[str, DiskUsage] = {}
        self._interfaces: dict[str, tuple[InterfaceUsage, ...]] = {}
        self._renewed = self._walked = 0.0
        self._renewal: asyncio.Task[None] | None = None

    async def of_containers(self, containers: Sequence[Container]) -> list[ContainerStats]:
        """The usage of ``containers``, in their order."""
        await self._look([container for container in containers if container.id not in self._groups], [])
        return [self._of(container) for container in containers]

    async def of_pods(self, sandboxes: Sequence[Sandbox]) -> list[PodStats]:
        """The usage of ``sandboxes`` and their containers, in their order."""
        members = {sandbox.id: self._living(sandbox.id) for sandbox in sandboxes}
        new = [container for each in members.values() for container in each if container.id not in self._groups]
        await self._look(new, [sandbox for sandbox in sandboxes if sandbox.id not in self._groups])
        return [self._of_pod(sandbox, members[sandbox.id]) for sandbox in sandboxes]

    def _living(self, sandbox_id: str) -> list[Container]:
        of_pod = self._index.of_sandbox(sandbox_id)
        return [container for container in of_pod if container.state is State.RUNNING and not container.infra]

    def _of(self, container: Container) -> ContainerStats:
        key = container.id
        return ContainerStats(container, self._groups.get(key), self._disks.get(key), self._rates.get(key))

    def _of_pod(self, sandbox: Sandbox, containers: Iterable[Container]) -> PodStats:
        return PodStats(
            sandbox,
            self._groups.get(sandbox.id),
            self._interfaces.get(sandbox.id, ()),
            tuple(map(self._of, containers)),
            self._rates.get(sandbox.id),
        )

    async def _look(self, containers: Sequence[Container], sandboxes: Sequence[Sandbox]) -> None:
        """Read what is not in the snapshot yet, and begin a renewal when it is old."""
        if containers or sandboxes:
            await self._read(containers, sandboxes)
            self._disks |= await self._usage.disks(containers)
        age = self._clock() - self._renewed
        if age > FRESH_SECONDS and (self._renewal is None or self._renewal.done()):
            self._renewal = self._owner.spawn("stats.renew", self._renew())
        if age > STALE_SECONDS and self._renewal is not None:
            await asyncio.wait([self._renewal], timeout=STALE_SECONDS)

    async def _renew(self) -> None:
        self._renewed = self._clock()
        containers = [container for container in self._index.all() if container.state is State.RUNNING]
        sandboxes = [sandbox for sandbox in self._sandboxes() if sandbox.state is SandboxState.READY]
        await self._read(containers, sandboxes)
        if self._clock() - self._walked > DISK_SECONDS:
            self._disks |= await self._usage.disks(containers)
            self._walked = self._clock()
        self._forget({container.id for container in containers} | {sandbox.id for sandbox in sandboxes})

    async def _read(self, containers: Sequence[Container], sandboxes: Sequence[Sandbox]) -> None:
        try:
            groups = await self._usage.groups(containers, sandboxes)
            self._interfaces |= await self._usage.interfaces(sandboxes)
        except Exception as error:  # the snapshot stays as it is
            _log.warning("stats.unreadable", error=explain(error))
            return
        for key, group in groups.items():
            if (rate := nano_cores(self._groups.get(key), group)) is not None:
                self._rates[key] = rate
        self._groups |= groups

    def _forget(self, known: set[str]) -> None:
        for table in (self._groups, self._rates, self._disks, self._interfaces):
            for key in table.keys() - known:
                table.pop(key)


def nano_cores(before: GroupStats | None, now: GroupStats) -> int | None:
    """Nanoseconds of processor time per second between two looks; None when they do not say."""
    if before is None or before.cpu.usage is None or now.cpu.usage is None or now.timestamp <= before.timestamp:
        return None
    return max(0, now.cpu.usage - before.cpu.usage) * 10**9 // (now.timestamp - before.timestamp)
