"""What a group uses: pure readings of the kernel's files.

Source: cgroups(7), Documentation/admin-guide/cgroup-v1 and cgroup-v2 of the kernel, and for the meaning of the
numbers CRI v1 ``ContainerStats``. Times are nanoseconds, sizes bytes; None: the node does not tell.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from msgspec import Struct

from crishim.core.clock import now_ns
from crishim.drivers.cgroups.files import read_number, read_pairs, read_text
from crishim.drivers.cgroups.hierarchy import Hierarchies
from crishim.drivers.cgroups.io import DeviceIo, read_io, total_io

_UNLIMITED = 1 << 62  # version 1 writes the greatest multiple of a page; nobody has this much
_TICK_NS = 10_000_000  # USER_HZ is 100 everywhere, see time(7)
_CRUN = "container"  # what crun calls the group it makes below a scope of systemd, see crun(1)


_SUMMED = (
    "usage",
    "working_set",
    "rss",
    "cache",
    "active_file",
    "inactive_file",
    "mapped_file",
    "page_faults",
    "major_page_faults",
    "oom_kills",
    "swap",
    "kernel",
)


class Stall(Struct, frozen=True):
    """Time in which tasks waited for a resource, and its share in percent over the last 10, 60 and 300 seconds."""

    total: int = 0
    avg10: float = 0.0
    avg60: float = 0.0
    avg300: float = 0.0


class Pressure(Struct, frozen=True):
    """Stalls of some and of all tasks; see psi in the kernel's documentation."""

    some: Stall = Stall()
    full: Stall = Stall()


class CpuStats(Struct, frozen=True):
    """Processor time since the group was made, and how often and for how long its quota held it back."""

    usage: int | None = None
    user: int | None = None
    system: int | None = None
    periods: int | None = None
    throttled_periods: int | None = None
    throttled: int | None = None
    pressure: Pressure | None = None


class MemoryStats(Struct, frozen=True):
    """Memory in use. ``limit`` None: none. ``working_set`` is what cannot be reclaimed easily."""

    usage: int | None = None
    working_set: int | None = None
    rss: int | None = None
    cache: int | None = None
    active_file: int | None = None
    inactive_file: int | None = None
    mapped_file: int | None = None
    page_faults: int | None = None
    major_page_faults: int | None = None
    max_usage: int | None = None
    fail_count: int | None = None
    oom_kills: int | None = None
    limit: int | None = None
    swap: int | None = None
    swap_limit: int | None = None
    kernel: int | None = None
    pressure: Pressure | None = None


class GroupStats(Struct, frozen=True):
    """What a group uses at ``timestamp`` (nanoseconds since the epoch). Threads count as ``processes``."""

    timestamp: int
    cpu: CpuStats
    memory: MemoryStats
    processes: int | None = None
    processes_limit: int | None = None
    io: tuple[DeviceIo, ...] = ()
    io_pressure: Pressure | None = None


def read_stats(mounted: Hierarchies, group: str) -> GroupStats:
    """Read all there is of ``group``. Blocks for some tenths of a millisecond."""
    pids = mounted.directory("pids", group)
    unified = mounted.unified / group.lstrip("/") if mounted.unified else None
    return GroupStats(
        timestamp=now_ns(),
        cpu=_cpu(mounted, group),
        memory=_memory(mounted, group),
        processes=read_number(pids / "pids.current") if pids else None,
        processes_limit=_least(pids, "pids.max") if pids else None,
        io=read_io(mounted, group),
        io_pressure=read_pressure(unified / "io.pressure") if unified else None,
    )


def total(groups: Sequence[GroupStats]) -> GroupStats | None:
    """What the groups use together, of what can be added up; None for no groups."""
    if not groups:
        return None
    times = ("usage", "user", "system")
    cpu: dict[str, Any] = {name: _sum(getattr(each.cpu, name) for each in groups) for name in times}
    memory: dict[str, Any] = {name: _sum(getattr(each.memory, name) for each in groups) for name in _SUMMED}
    began, processes = min(each.timestamp for each in groups), _sum(each.processes for each in groups)
    io = total_io(each.io for each in groups)
    return GroupStats(began, CpuStats(**cpu), MemoryStats(**memory), processes, io=io)


def _sum(values: Iterable[int | None]) -> int | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def read_pressure(path: Path) -> Pressure | None:
    """The content of a ``*.pressure`` file; None where the kernel does not account for it."""
    lines = {line.split()[0]: _stall(line) for line in read_text(path).splitlines()}
    return Pressure(lines.get("some", Stall()), lines.get("full", Stall())) if lines else None


def _stall(line: str) -> Stall:
    values = dict(field.split("=") for field in line.split()[1:])
    averages = (float(values[name]) for name in ("avg10", "avg60", "avg300"))
    return Stall(int(values["total"]) * 1000, *averages)


def _cpu(mounted: Hierarchies, group: str) -> CpuStats:
    if "cpuacct" in mounted.controllers:
        return _cpu_v1(mounted, group)
    if mounted.unified is None:
        return CpuStats()
    directory = mounted.unified / group.lstrip("/")
    stat, *inner = (read_pairs(each / "cpu.stat") for each in _limited(directory))
    quota = next((each for each in inner if each.get("nr_periods")), stat)
    return CpuStats(
        usage=_micro(stat.get("usage_usec")),
        user=_micro(stat.get("user_usec")),
        system=_micro(stat.get("system_usec")),
        periods=quota.get("nr_periods"),
        throttled_periods=quota.get("nr_throttled"),
        throttled=_micro(quota.get("throttled_usec")),
        pressure=read_pressure(directory / "cpu.pressure"),
    )


def _cpu_v1(mounted: Hierarchies, group: str) -> CpuStats:
    accounts = mounted.controllers["cpuacct"] / group.lstrip("/")
    ticks = read_pairs(accounts / "cpuacct.stat")
    quota = mounted.directory("cpu", group)
    stat = read_pairs(quota / "cpu.stat") if quota else {}
    return CpuStats(
        usage=read_number(accounts / "cpuacct.usage"),
        user=_ticks(ticks.get("user")),
        system=_ticks(ticks.get("system")),
        periods=stat.get("nr_periods"),
        throttled_periods=stat.get("nr_throttled"),
        throttled=stat.get("throttled_time"),
    )


def _memory(mounted: Hierarchies, group: str) -> MemoryStats:
    directory = mounted.directory("memory", group)
    if directory is None:
        return MemoryStats()
    stat = read_pairs(directory / "memory.stat")
    return (_memory_v1 if "memory" in mounted.controllers else _memory_v2)(directory, stat)


def _memory_v1(directory: Path, stat: Mapping[str, int]) -> MemoryStats:
    usage = read_number(directory / "memory.usage_in_bytes")
    with_swap = read_number(directory / "memory.memsw.usage_in_bytes")
    limit, limit_with_swap = (
        _limit(read_number(directory / f"memory.{name}limit_in_bytes")) for name in ("", "memsw.")
    )
    counted = with_swap is not None and usage is not None
    return MemoryStats(
        usage=usage,
        working_set=_less(usage, stat.get("total_inactive_file")),
        rss=stat.get("total_rss"),
        cache=stat.get("total_cache"),
        active_file=stat.get("total_active_file"),
        inactive_file=stat.get("total_inactive_file"),
        mapped_file=stat.get("total_mapped_file"),
        page_faults=stat.get("total_pgfault"),
        major_page_faults=stat.get("total_pgmajfault"),
        max_usage=read_number(directory / "memory.max_usage_in_bytes"),
        fail_count=read_number(directory / "memory.failcnt"),
        oom_kills=read_pairs(directory / "memory.oom_control").get("oom_kill"),
        limit=limit,
        swap=_less(with_swap, usage) if counted else stat.get("total_swap"),
        swap_limit=_less(limit_with_swap, limit) if limit is not None else None,
        kernel=read_number(directory / "memory.kmem.usage_in_bytes"),
    )


def _memory_v2(directory: Path, stat: Mapping[str, int]) -> MemoryStats:
    usage = read_number(directory / "memory.current")
    events = read_pairs(directory / "memory.events")
    return MemoryStats(
        usage=usage,
        working_set=_less(usage, stat.get("inactive_file")),
        rss=stat.get("anon"),
        cache=stat.get("file"),
        active_file=stat.get("active_file"),
        inactive_file=stat.get("inactive_file"),
        mapped_file=stat.get("file_mapped"),
        page_faults=stat.get("pgfault"),
        major_page_faults=stat.get("pgmajfault"),
        max_usage=read_number(directory / "memory.peak"),
        fail_count=events.get("max"),
        oom_kills=events.get("oom_kill"),
        limit=_least(directory, "memory.max"),
        swap=read_number(directory / "memory.swap.current"),
        swap_limit=_least(directory, "memory.swap.max"),
        kernel=stat.get("kernel"),
        pressure=read_pressure(directory / "memory.pressure"),
    )


def _limited(directory: Path) -> tuple[Path, ...]:
    """A group, and the one below a scope that crun limits.

    Of the scope crun before 1.16 limits next to nothing, later ones not quite the same.
    """
    return (directory, directory / _CRUN) if directory.suffix == ".scope" else (directory,)


def _least(directory: Path, file: str) -> int | None:
    limits = (read_number(each / file) for each in _limited(directory))
    return min((limit for limit in limits if limit is not None), default=None)


def _less(whole: int | None, part: int | None) -> int | None:
    return None if whole is None else max(0, whole - (part or 0))


def _limit(value: int | None) -> int | None:
    return None if value is None or value >= _UNLIMITED else value


def _micro(value: int | None) -> int | None:
    return None if value is None else value * 1000


def _ticks(value: int | None) -> int | None:
    return None if value is None else value * _TICK_NS
