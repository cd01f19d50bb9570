"""What containers and pods use of the machine: control groups, writable layers, network interfaces, descriptors."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import structlog
from msgspec import Struct

from crishim.core.clock import now_ns
from crishim.core.errors import CrishimError, explain
from crishim.drivers import syscalls, threads
from crishim.drivers.cgroups.hierarchy import Hierarchies
from crishim.drivers.cgroups.stats import GroupStats, read_stats
from crishim.drivers.descriptors import Descriptors, read_descriptors
from crishim.drivers.process.identity import ProcessId
from crishim.drivers.tree import tree_usage
from crishim.model.container import Container
from crishim.model.sandbox import Sandbox

_log = structlog.get_logger(__name__)


class DiskUsage(Struct, frozen=True):
    """What a writable layer, anonymous volumes and the pod's files take at ``timestamp`` (nanoseconds since the epoch).

    The file system that it is on has a size (``capacity``, bytes) and inodes; ``mountpoint`` is a path in it.
    """

    timestamp: int
    mountpoint: str
    bytes: int
    inodes: int
    capacity: int
    inodes_total: int
    inodes_free: int


class InterfaceUsage(Struct, frozen=True):
    """Counters of one interface since it was made."""

    name: str
    rx_bytes: int
    rx_packets: int
    rx_errors: int
    rx_dropped: int
    tx_bytes: int
    tx_packets: int
    tx_errors: int
    tx_dropped: int


class UsageDriver:
    """Reads usage. What has gone meanwhile is left out of an answer."""

    def __init__(
        self,
        mounted: Hierarchies,
        group_of_container: Callable[[Container], str],
        group_of_sandbox: Callable[[Sandbox], str],
        layers: Path,
        pods: Path,
    ) -> None:
        """The functions tell the path of a group, or raise a CrishimError when what it depends on has gone.

        ``layers`` holds a directory for each container with its writable layer, ``upper``, and maybe ``volumes``;
        ``pods`` one for each sandbox with the files that its containers share.
        """
        self._mounted, self._layers, self._pods = mounted, layers, pods
        self._group_of_container, self._group_of_sandbox = group_of_container, group_of_sandbox

    async def groups(self, containers: Sequence[Container], sandboxes: Sequence[Sandbox]) -> dict[str, GroupStats]:
        """The control groups of containers and pods, by id."""
        paths = self._groups_of(containers)
        for sandbox in sandboxes:
            with suppress(CrishimError):
                if sandbox.config.cgroup_parent:
                    paths[sandbox.id] = self._group_of_sandbox(sandbox)
        return await threads.run(lambda: {key: read_stats(self._mounted, path) for key, path in paths.items()})

    async def disk(self, container: Container) -> DiskUsage:
        """All that a container can write to and that kubelet does not count itself, so that it can be limited.

        The files of a pod count for each of its containers: they are small, unless one of them makes them large.
        """
        own = [self._layers / container.id / name for name in ("upper", "volumes")]
        return await threads.run(_disk, str(self._layers), [*own, self._pods / container.sandbox_id])

    async def interfaces(self, sandboxes: Sequence[Sandbox]) -> dict[str, tuple[InterfaceUsage, ...]]:
        """The interfaces of pods with a network of their own, by sandbox id, without ``lo``."""
        paths = {sandbox.id: sandbox.namespaces.net for sandbox in sandboxes}
        own = {key: path for key, path in paths.items() if path}
        return await threads.run_alone(_interfaces, own) if own else {}

    async def descriptors(self, containers: Sequence[Container]) -> dict[str, Descriptors]:
        """What the processes of containers have open, by id."""
        paths = self._groups_of(containers)
        places = {key: self._mounted.few_directories(path) for key, path in paths.items()}
        firsts = {container.id: ProcessId(container.pid, container.pid_start) for container in containers}
        return await threads.run(_descriptors, places, firsts)

    def _groups_of(self, containers: Iterable[Container]) -> dict[str, str]:
        paths: dict[str, str] = {}
        for container in containers:
            with suppress(CrishimError):
                paths[container.id] = self._group_of_container(container)
        return paths


def _disk(layers: str, trees: Iterable[Path]) -> DiskUsage:
    used, inodes = (sum(numbers) for numbers in zip(*map(tree_usage, trees), strict=True))
    # All layers are on one file system, which outlives each of them: kubelet asks the kernel about this path later.
    whole = os.statvfs(layers)
    size = whole.f_blocks * whole.f_frsize
    return DiskUsage(now_ns(), layers, used, inodes, size, whole.f_files, whole.f_ffree)


def parse_interfaces(content: bytes) -> tuple[InterfaceUsage, ...]:
    """The content of /proc/net/dev; see proc_pid_net(5). What is no UTF-8 in a name is shown as ``\\xff``.

    A pod can name its interfaces with any bytes but white space, ":", "/" and NUL, also with what ends lines of text.
    """
    found = []
    for line in content.splitlines()[2:]:
        name, _, counters = line.partition(b":")
        values = [int(value) for value in counters.split()]
        if (shown := name.strip().decode(errors="backslashreplace")) != "lo":
            found.append(InterfaceUsage(shown, *values[:4], *values[8:12]))
    return tuple(found)


def _interfaces(netns: dict[str, str]) -> dict[str, tuple[InterfaceUsage, ...]]:
    """Enters every namespace in turn, so the thread must end afterwards."""
    found: dict[str, tuple[InterfaceUsage, ...]] = {}
    for key, path in netns.items():
        try:
            syscalls.enter(path, syscalls.CLONE_NEWNET)
            found[key] = parse_interfaces(Path("/proc/thread-self/net/dev").read_bytes())
        except CrishimError:  # it has gone
            continue
        except Exception as error:  # whatever a pod has done, the numbers of the others are there
            _log.warning("usage.unreadable", netns=path, error=explain(error))
    return found


def _descriptors(places: Mapping[str, Iterable[Path]], firsts: Mapping[str, ProcessId]) -> dict[str, Descriptors]:
    found: dict[str, Descriptors] = {}
    for key, directories in places.items():
        try:
            read = read_descriptors(directories, firsts[key])
        except Exception as error:  # whatever a container has done, the numbers of the others are there
            _log.warning("usage.unreadable", container=key, error=explain(error))
        else:
            found |= {key: read} if read else {}
    return found
