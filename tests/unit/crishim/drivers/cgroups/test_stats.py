from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from msgspec.structs import replace

from crishim.drivers.cgroups.hierarchy import Hierarchies
from crishim.drivers.cgroups.io import DeviceIo
from crishim.drivers.cgroups.stats import (
    CpuStats,
    MemoryStats,
    Pressure,
    Stall,
    read_pressure,
    read_stats,
    total,
)

PSI = "some avg10=1.50 avg60=0.20 avg300=0.03 total=1234\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=7\n"
PRESSURE = Pressure(Stall(1_234_000, 1.5, 0.2, 0.03), Stall(7_000))
V2 = {
    "cpu.stat": "usage_usec 3000\nuser_usec 2000\nsystem_usec 1000\nnr_periods 5\nnr_throttled 2\nthrottled_usec 9\n",
    "cpu.pressure": PSI,
    "memory.current": "1000\n",
    "memory.stat": "anon 300\nfile 400\nfile_mapped 50\nactive_file 70\ninactive_file 100\npgfault 11\npgmajfault 1\n"
    "kernel 60\n",
    "memory.peak": "2000\n",
    "memory.events": "low 0\nhigh 0\nmax 3\noom 1\noom_kill 1\n",
    "memory.max": "4096\n",
    "memory.swap.current": "10\n",
    "memory.swap.max": "max\n",
    "memory.pressure": PSI,
    "io.pressure": PSI,
    "io.stat": "8:0 rbytes=4096 wbytes=512 rios=2 wios=1 dbytes=0 dios=0\n",
    "pids.current": "4\n",
    "pids.max": "max\n",
}
V1 = {
    "cpuacct/cpuacct.usage": "3000000\n",
    "cpuacct/cpuacct.stat": "user 2\nsystem 1\n",
    "cpu/cpu.stat": "nr_periods 5\nnr_throttled 2\nthrottled_time 9000\n",
    "memory/memory.usage_in_bytes": "1000\n",
    "memory/memory.memsw.usage_in_bytes": "1010\n",
    "memory/memory.limit_in_bytes": "4096\n",
    "memory/memory.memsw.limit_in_bytes": "8192\n",
    "memory/memory.max_usage_in_bytes": "2000\n",
    "memory/memory.failcnt": "3\n",
    "memory/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 1\n",
    "memory/memory.stat": "rss 1\ntotal_rss 300\ntotal_cache 400\ntotal_mapped_file 50\n"
    "total_active_file 70\ntotal_inactive_file 100\ntotal_pgfault 11\ntotal_pgmajfault 1\ntotal_swap 99\n",
    "memory/memory.kmem.usage_in_bytes": "60\n",
    "blkio/blkio.throttle.io_service_bytes_recursive": "8:0 Read 4096\n8:0 Write 512\n8:0 Total 4608\nTotal 4608\n",
    "blkio/blkio.throttle.io_serviced_recursive": "Total 0\n",
    "blkio/blkio.bfq.io_serviced_recursive": "8:0 Read 2\n8:0 Write 1\n8:0 Total 3\nTotal 3\n",
    "pids/pids.current": "4\n",
    "pids/pids.max": "9\n",
}
MEMORY = MemoryStats(
    usage=1000,
    working_set=900,
    rss=300,
    cache=400,
    active_file=70,
    inactive_file=100,
    mapped_file=50,
    page_faults=11,
    major_page_faults=1,
    max_usage=2000,
    fail_count=3,
    oom_kills=1,
    limit=4096,
    swap=10,
    kernel=60,
)
IO = (DeviceIo("8:0", 4096, 512, 2, 1),)


def write(root: Path, files: Mapping[str, str], group: str = "g") -> None:
    for name, text in files.items():
        hierarchy, _, file = name.rpartition("/")
        path = root / hierarchy / group / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def v1(root: Path) -> Hierarchies:
    return Hierarchies({name: root / name for name in ("blkio", "cpu", "cpuacct", "memory", "pids")})


def test_version_2(tmp_path: Path) -> None:
    write(tmp_path, V2)
    stats = read_stats(Hierarchies({}, tmp_path), "/g")
    assert stats.cpu == CpuStats(3_000_000, 2_000_000, 1_000_000, 5, 2, 9_000, PRESSURE)
    assert stats.memory == replace(MEMORY, pressure=PRESSURE)
    assert (stats.processes, stats.processes_limit, stats.io, stats.io_pressure) == (4, None, IO, PRESSURE)


@pytest.mark.parametrize("text", ["7:0 8:0 rbytes=4096 wbytes=512 rios=2 wios=1\n", "7:0 \n", ""])
def test_devices_without_numbers_are_passed_over(tmp_path: Path, text: str) -> None:
    write(tmp_path, {"io.stat": text})
    assert read_stats(Hierarchies({}, tmp_path), "/g").io == (IO if "rbytes" in text else ())


def test_limits_may_be_those_of_the_group_that_crun_makes_below_a_scope(tmp_path: Path) -> None:
    write(tmp_path, {**V2, "cpu.stat": "usage_usec 3000\nnr_periods 0\n", "memory.max": "max\n"}, "g.scope")
    inner = {"cpu.stat": "usage_usec 1\nnr_periods 5\nnr_throttled 2\nthrottled_usec 9\n", "memory.max": "4096\n"}
    write(tmp_path, {**inner, "memory.swap.max": "0\n"}, "g.scope/container")
    stats = read_stats(Hierarchies({}, tmp_path), "/g.scope")
    assert (stats.memory.limit, stats.memory.swap_limit) == (4096, 0)
    assert stats.cpu == CpuStats(3_000_000, None, None, 5, 2, 9_000, PRESSURE)


@pytest.mark.parametrize(
    ("outer", "inner", "limit"), [("9\n", "max\n", 9), ("9\n", "0\n", 0), ("max\n", "max\n", None)]
)
def test_of_two_limits_the_lower_one_counts(tmp_path: Path, outer: str, inner: str, limit: int | None) -> None:
    write(tmp_path, {**V2, "memory.swap.max": outer}, "g.scope")
    write(tmp_path, {"memory.swap.max": inner}, "g.scope/container")
    stats = read_stats(Hierarchies({}, tmp_path), "/g.scope")
    assert stats.memory.swap_limit == limit
    assert stats.cpu.periods == 5


def test_version_1(tmp_path: Path) -> None:
    write(tmp_path, V1)
    stats = read_stats(v1(tmp_path), "/g")
    assert stats.cpu == CpuStats(3_000_000, 20_000_000, 10_000_000, 5, 2, 9_000)
    assert stats.memory == replace(MEMORY, swap_limit=4096)
    assert (stats.processes, stats.processes_limit, stats.io, stats.io_pressure) == (4, 9, IO, None)


def test_the_greatest_number_of_version_1_is_no_limit(tmp_path: Path) -> None:
    write(tmp_path, {"memory/memory.limit_in_bytes": "9223372036854771712\n"})
    memory = read_stats(v1(tmp_path), "/g").memory
    assert (memory.limit, memory.swap_limit) == (None, None)


def test_swap_is_counted_apart_where_it_is_not_limited(tmp_path: Path) -> None:
    write(tmp_path, {"memory/memory.usage_in_bytes": "7\n", "memory/memory.stat": "total_swap 99\n"})
    assert read_stats(v1(tmp_path), "/g").memory.swap == 99


@pytest.mark.parametrize("unified", [True, False])
def test_of_a_group_that_is_gone_nothing_is_told(tmp_path: Path, unified: bool) -> None:
    stats = read_stats(Hierarchies({}, tmp_path) if unified else v1(tmp_path), "/gone")
    assert (stats.cpu, stats.memory, stats.processes, stats.io) == (CpuStats(), MemoryStats(), None, ())


def test_the_sum_of_groups_has_all_that_can_be_added_up(tmp_path: Path) -> None:
    write(tmp_path, V2)
    one = read_stats(Hierarchies({}, tmp_path), "/g")
    both = total([one, one])
    assert both
    added = {name for name in one.memory.__struct_fields__ if getattr(both.memory, name) is not None}
    assert added == set(one.memory.__struct_fields__) - {"max_usage", "fail_count", "limit", "swap_limit", "pressure"}
    assert (both.memory.oom_kills, both.memory.active_file, both.processes) == (2, 140, 8)
    assert both.io == (DeviceIo("8:0", 8192, 1024, 4, 2),)


def test_without_hierarchies_nothing_is_told() -> None:
    stats = read_stats(Hierarchies(), "/g")
    assert (stats.cpu, stats.memory) == (CpuStats(), MemoryStats())


def test_pressure_that_is_not_accounted_for_is_unknown(tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("")
    assert read_pressure(tmp_path / "empty") is None
    assert read_pressure(tmp_path / "nowhere") is None
