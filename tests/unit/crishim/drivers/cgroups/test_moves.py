from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from cni_runtime.testing.shortage import no_threads_left
from crishim.drivers.cgroups.hierarchy import Hierarchies
from crishim.drivers.cgroups.moves import Moves, own_group

pytestmark = pytest.mark.anyio

V1 = Hierarchies({"cpu": Path("/c/cpu,cpuacct"), "memory": Path("/c/memory")})
V2 = Hierarchies({}, Path("/c"))


@pytest.mark.parametrize(
    ("mounted", "membership", "group"),
    [
        (V2, "0::/system.slice/crishim.service\n", Path("/c/system.slice/crishim.service")),
        (V1, "5:freezer:/\n4:memory:/a/b\n0::/\n", Path("/c/memory/a/b")),
        (V1, "1:cpu,cpuacct:/\n", Path("/c/cpu,cpuacct")),
        (V1, "9:name=systemd:/x\n0::/\n", None),
        (Hierarchies(), "0::/\n", None),
        (V2, "", None),
    ],
)
def test_the_own_group_is_found_where_it_is_mounted(mounted: Hierarchies, membership: str, group: Path | None) -> None:
    assert own_group(mounted, membership) == group


async def moved(moves: Moves, group: Path) -> str:
    """Expect a move, again and again while one is under way, and take what has been written then."""
    async with asyncio.timeout(10):
        while not (group / "cgroup.procs").read_text():
            moves.expect()
            await asyncio.sleep(0.01)
    text = (group / "cgroup.procs").read_text()
    (group / "cgroup.procs").write_text("")
    return text


async def test_the_process_is_moved_to_where_it_is(tmp_path: Path) -> None:
    (tmp_path / "cgroup.procs").write_text("")
    assert await moved(Moves(tmp_path), tmp_path) == "0"


async def test_while_the_kernel_is_ready_nothing_happens(tmp_path: Path) -> None:
    (tmp_path / "cgroup.procs").write_text("")
    now = 10.0
    moves = Moves(tmp_path, clock=lambda: now)
    await moved(moves, tmp_path)
    moves.expect()
    await asyncio.sleep(0.05)
    assert (tmp_path / "cgroup.procs").read_text() == ""
    now += 1
    assert await moved(moves, tmp_path) == "0"


@pytest.mark.parametrize("own", [None, Path("/nowhere")])
async def test_where_it_can_not_be_moved_nothing_happens(own: Path | None) -> None:
    moves = Moves(own)
    moves.expect()
    moves.expect()
    await asyncio.get_running_loop().run_in_executor(None, int)


async def test_without_a_thread_nothing_happens(tmp_path: Path) -> None:
    (tmp_path / "cgroup.procs").write_text("")
    with no_threads_left():
        Moves(tmp_path).expect()
    assert (tmp_path / "cgroup.procs").read_text() == ""
