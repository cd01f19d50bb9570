from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace

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


async def test_the_process_is_moved_to_where_it_is(tmp_path: Path) -> None:
    moved = tmp_path / "cgroup.procs"
    moved.write_text("")
    Moves(tmp_path).expect()
    async with asyncio.timeout(10):
        while not moved.read_text():  # noqa: ASYNC110  # nobody is told
            await asyncio.sleep(0.01)
    assert moved.read_text() == "0"


async def test_while_the_kernel_is_ready_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    now, moves = [10.0], 0

    def start(function: object, group: Path) -> asyncio.Future[float]:
        nonlocal moves
        moves += 1
        moved: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        moved.set_result(now[0])
        return moved

    monkeypatch.setattr("crishim.drivers.threads.start", start)
    monkeypatch.setattr("crishim.drivers.cgroups.moves.time", SimpleNamespace(monotonic=lambda: now[0]))
    expected = Moves(Path("/nowhere"))
    expected.expect()
    expected.expect()
    assert moves == 1
    now[0] += 1
    expected.expect()
    assert moves == 2


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
