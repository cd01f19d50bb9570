"""What containers and pods use, as a snapshot that is renewed in the background.

Who asks for up to ``FEW`` gets what is younger than ``FRESH_SECONDS``: the rest is read on the spot. Who asks for more
gets the snapshot, in which what has just come still lacks its numbers, and begins a renewal for the next caller; only
when something in it is older than ``STALE_SECONDS`` that renewal is waited for. A container that starts is read soon
after, so that its processor time per second is known at the first question. The disk is walked much less often than the
groups are read. What containers have open is read for each question about metrics, and for no other.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from crishim.container.index import ContainerIndex
from crishim.container.ports import Usage
from crishim.core.clock import monotonic
from crishim.core.tasks import TaskOwner
from crishim.core.trying import survive
from crishim.drivers.cgroups.stats import GroupStats, total
from crishim.drivers.descriptors import Descriptors
from crishim.drivers.usage import DiskUsage, InterfaceUsage
from crishim.model.container import Container, Event, State
from crishim.model.sandbox import Sandbox
from crishim.model.sandbox import State as SandboxState

FRESH_SECONDS = 1.0
STALE_SECONDS = 5.0
DISK_SECONDS = 10.0
FEW = 16
_LEAST_NS = 10**8  # between two looks; processor time is counted in steps of milliseconds
_ANSWER_SECONDS = 0.05  # for an answer from the snapshot; reading a hundred groups beside it would hold it up
_CALM_SECONDS = 0.2  # for what else a start begins; starts in a burst are then read together


class ContainerStats(Struct, frozen=True):
    """What one container uses. ``nano_cores`` is its processor time per second of late; None before a second look."""

    container: Container
    group: GroupStats | None
    disk: DiskUsage | None = None
    nano_cores: int | None = None
    descriptors: Descriptors | None = None


class PodStats(Struct, frozen=True):
    """What a pod uses: its group as a whole, or its containers together if it has none; its interfaces by name."""

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
        patience: float = STALE_SECONDS,
    ) -> None:
        """A caller waits for ``patience`` seconds at most for what is read in the background."""
        self._index, self._usage, self._owner, self._sandboxes = index, usage, owner, sandboxes
        self._clock, self._patience = clock, patience
        self._read_at: dict[str, float] = {}
        self._groups: dict[str, GroupStats] = {}
        self._rates: dict[str, int] = {}
        self._disks: dict[str, DiskUsage] = {}
        self._interfaces: dict[str, tuple[InterfaceUsage, ...]] = {}
        self._tables = (self._read_at, self._groups, self._rates, self._disks, self._interfaces)
        self._walked = -math.inf
        self._begun: dict[str, asyncio.Task[None]] = {}
        self._started: list[str] = []
        self._unwalked: dict[str, Container] = {}

    def on_container(self, container: Container, event: Event) -> None:
        """Hear what happens to containers: those that start are read once, so that the first list need not wait.

        One that has ended uses no processor time any more.
        """
        if event is Event.START:
            self._started.append(container.id)
            self._begin("stats.first", self._read_started)
        elif event is Event.EXITED:
            self._rates.pop(container.id, None)
        elif event is Event.REMOVE:
            self._forget([container.id])

    async def of_containers(self, containers: Sequence[Container]) -> list[ContainerStats]:
        """The usage of ``containers``, in their order."""
        await self._look(containers, [])
        return [self._of(container) for container in containers]

    async def of_pods(self, sandboxes: Sequence[Sandbox]) -> list[PodStats]:
        """The usage of ``sandboxes`` and their containers, in their order."""
        members = {sandbox.id: self._living(sandbox.id) for sandbox in sandboxes}
        await self._look([container for each in members.values() for container in each], sandboxes)
        return [self._of_pod(sandbox, members[sandbox.id]) for sandbox in sandboxes]

    async def for_metrics(self, sandboxes: Sequence[Sandbox]) -> list[PodStats]:
        """As ``of_pods``, and what the containers have open."""
        pods = await self.of_pods(sandboxes)
        containers = [each.container for pod in pods for each in pod.containers]
        found = await survive(self._usage.descriptors(containers), "stats.unreadable", what="descriptors") or {}
        return [_with_descriptors(pod, found) for pod in pods]

    def _living(self, sandbox_id: str) -> list[Container]:
        return list(filter(_is_read, self._index.of_sandbox(sandbox_id)))

    def _of(self, container: Container) -> ContainerStats:
        key = container.id
        return ContainerStats(container, self._groups.get(key), self._disks.get(key), self._rates.get(key))

    def _of_pod(self, sandbox: Sandbox, containers: Iterable[Container]) -> PodStats:
        members = tuple(map(self._of, containers))
        group, rate = self._groups.get(sandbox.id), self._rates.get(sandbox.id)
        if group is None:
            group = total([each.group for each in members if each.group])
            rate = sum(each.nano_cores or 0 for each in members)
        return PodStats(sandbox, group, self._interfaces.get(sandbox.id, ()), members, rate)

    async def _look(self, containers: Sequence[Container], sandboxes: Sequence[Sandbox]) -> None:
        """Bring the snapshot up to date as far as the caller has to wait for it."""
        asked = _ids(containers, sandboxes)
        old = {key for key in asked if self._older_than(FRESH_SECONDS, key)}
        if len(asked) <= FEW:
            await self._read(
                [each for each in containers if each.id in old], [each for each in sandboxes if each.id in old]
            )
        elif old:
            known = [key for key in asked if key in self._read_at]
            renewal = self._begin("stats.renew", self._renew)
            if not known or any(self._older_than(STALE_SECONDS, key) for key in known):
                await asyncio.wait([renewal], timeout=self._patience)
        if self._clock() - self._walked > DISK_SECONDS:
            self._begin("stats.walk", self._walk)

    def _older_than(self, seconds: float, key: str) -> bool:
        """Whether something was read longer ago, or never."""
        return self._read_at.get(key, -math.inf) <= self._clock() - seconds

    def _begin(self, name: str, work: Callable[[], Coroutine[Any, Any, None]]) -> asyncio.Task[None]:
        """Do something in the background, unless it is being done."""
        if name not in self._begun or self._begun[name].done():
            self._begun[name] = self._owner.spawn(name, work())
        return self._begun[name]

    async def _read_started(self) -> None:
        while self._started:
            await asyncio.sleep(_CALM_SECONDS)
            ids, self._started = self._started, []
            found = map(self._index.find, ids)
            await self._read([each for each in found if each and _is_read(each)], [])

    async def _renew(self) -> None:
        await asyncio.sleep(_ANSWER_SECONDS)
        sandboxes = [sandbox for sandbox in self._sandboxes() if sandbox.state is SandboxState.READY]
        await self._read(self._running(), sandboxes)

    async def _walk(self) -> None:
        """Forget what has gone, and look again at the layers that have been looked at."""
        self._walked = self._clock()
        self._forget(set().union(*self._tables) - set(_ids(self._running(), self._sandboxes())))
        await self._read_disks([container for container in self._running() if container.id in self._disks])

    async def _walk_new(self) -> None:
        """Look at the layers that nobody has looked at yet."""
        while self._unwalked:
            new, self._unwalked = list(self._unwalked.values()), {}
            await self._read_disks(new)

    async def _read_disks(self, containers: Iterable[Container]) -> None:
        """One after the other, as there may be one that takes minutes."""
        for container in containers:
            found = await survive(self._usage.disk(container), "stats.unreadable", what="disk")
            if found and self._index.find(container.id) is not None:
                self._disks[container.id] = found

    def _forget(self, keys: Iterable[str]) -> None:
        for key in keys:
            for table in self._tables:
                table.pop(key, None)

    def _running(self) -> list[Container]:
        return list(filter(_is_read, self._index.all()))

    async def _read(self, containers: Sequence[Container], sandboxes: Sequence[Sandbox]) -> None:
        """Look at the groups and interfaces of those given, and begin with the layers nobody has looked at yet."""
        if not containers and not sandboxes:
            return
        begun = self._clock()
        groups = await survive(self._usage.groups(containers, sandboxes), "stats.unreadable", what="groups")
        if groups is None:
            return
        interfaces = await survive(self._usage.interfaces(sandboxes), "stats.unreadable", what="interfaces") or {}
        # Of several that read at once, one that began later may be through already: what it has found is newer.
        newest = {key for key in _ids(containers, sandboxes) if self._read_at.get(key, -math.inf) <= begun}
        self._take({key: groups[key] for key in newest if key in groups})
        self._interfaces |= {each.id: interfaces.get(each.id, ()) for each in sandboxes if each.id in newest}
        self._read_at |= dict.fromkeys(newest, begun)
        self._forget([container.id for container in containers if self._index.find(container.id) is None])
        if new := {container.id: container for container in containers if container.id not in self._disks}:
            self._unwalked |= new
            await asyncio.wait([self._begin("stats.walk_new", self._walk_new)], timeout=self._patience)

    def _take(self, groups: Mapping[str, GroupStats]) -> None:
        for key, group in groups.items():
            if (rate := nano_cores(self._groups.get(key), group)) is not None:
                self._rates[key] = rate
            elif group.cpu.usage is None:
                self._rates.pop(key, None)
        self._groups |= groups


def _is_read(container: Container) -> bool:
    """Whether somebody may ask what a container uses."""
    return container.state is State.RUNNING and not container.infra


def _with_descriptors(pod: PodStats, found: Mapping[str, Descriptors]) -> PodStats:
    containers = (replace(each, descriptors=found.get(each.container.id)) for each in pod.containers)
    return replace(pod, containers=tuple(containers))


def _ids(containers: Iterable[Container], sandboxes: Iterable[Sandbox]) -> list[str]:
    return [*(container.id for container in containers), *(sandbox.id for sandbox in sandboxes)]


def nano_cores(before: GroupStats | None, now: GroupStats) -> int | None:
    """Nanoseconds of processor time per second between two looks; None when they do not say, or hardly anything."""
    if before is None or before.cpu.usage is None or now.cpu.usage is None:
        return None
    passed = now.timestamp - before.timestamp
    return max(0, now.cpu.usage - before.cpu.usage) * 10**9 // passed if passed >= _LEAST_NS else None
