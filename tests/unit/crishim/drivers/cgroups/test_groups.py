"""Groups without processes, as directories; tests/netns has real ones."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from crishim.drivers.cgroups.groups import ControlGroups
from crishim.drivers.cgroups.hierarchy import Hierarchies

pytestmark = pytest.mark.anyio


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "1000"]) as process:
        yield process
        process.kill()


@pytest.fixture
def unified(tmp_path: Path) -> Path:
    (tmp_path / "g/sub").mkdir(parents=True)
    return tmp_path


async def test_a_group_is_removed_with_all_below_it(unified: Path) -> None:
    await ControlGroups(Hierarchies({}, unified)).remove("/g")
    await ControlGroups(Hierarchies({}, unified)).remove("/g")
    assert not (unified / "g").exists()


async def test_a_group_is_removed_from_every_hierarchy(tmp_path: Path) -> None:
    roots = {name: tmp_path / name for name in ("cpu", "memory")}
    for root in roots.values():
        (root / "g").mkdir(parents=True)
    await ControlGroups(Hierarchies(roots)).remove("/g")
    assert [list(root.iterdir()) for root in roots.values()] == [[], []]


async def test_processes_below_a_group_are_killed_too(unified: Path, sleeper: subprocess.Popen[bytes]) -> None:
    (unified / "g/sub/cgroup.procs").write_text(f"{sleeper.pid}\n")
    killed = await ControlGroups(Hierarchies({}, unified)).kill("/g")
    assert [process.pid for process in killed] == [sleeper.pid]
    assert sleeper.wait() == -9


@pytest.mark.parametrize(("name", "depth"), [("d", 1100), (250 * "d", 20)], ids=["functions", "paths"])
async def test_groups_deeper_than_functions_nest_and_paths_are_long(
    unified: Path, sleeper: subprocess.Popen[bytes], name: str, depth: int
) -> None:
    lowest = nest(unified / "g/sub", name, depth)
    write(lowest, "cgroup.procs", f"{sleeper.pid}\n")
    killed = await ControlGroups(Hierarchies({}, unified)).kill("/g")
    assert [process.pid for process in killed] == [sleeper.pid]
    os.unlink("cgroup.procs", dir_fd=lowest)  # as if it were none: the kernel's go with the group
    os.close(lowest)
    await ControlGroups(Hierarchies({}, unified)).remove("/g")
    assert not (unified / "g").exists()


async def test_version_2_kills_all_at_once(unified: Path) -> None:
    (unified / "g/cgroup.kill").write_text("")
    assert await ControlGroups(Hierarchies({}, unified)).kill("/g") == frozenset()
    assert (unified / "g/cgroup.kill").read_text() == "1"


@pytest.mark.parametrize("content", ["0\n", "1\n", "1073741824\n"])
async def test_whoever_is_not_one_living_process_is_not_killed(unified: Path, content: str) -> None:
    (unified / "g/cgroup.procs").write_text(content)
    assert await ControlGroups(Hierarchies({}, unified)).kill("/g") == frozenset()


@pytest.mark.parametrize(("text", "hit"), [("oom 3\noom_kill 2\n", True), ("oom 1\noom_kill 0\n", False)])
async def test_want_of_memory_in_version_2(unified: Path, text: str, hit: bool) -> None:
    (unified / "g/memory.events").write_text(text)
    assert await ControlGroups(Hierarchies({}, unified)).ran_out_of_memory("/g") == hit


@pytest.mark.parametrize("kills", [0, 1])
async def test_want_of_memory_in_version_1(unified: Path, kills: int) -> None:
    (unified / "g/memory.oom_control").write_text(f"oom_kill_disable 0\nunder_oom 0\noom_kill {kills}\n")
    assert await ControlGroups(Hierarchies({"memory": unified}, unified)).ran_out_of_memory("/g") == bool(kills)


@pytest.mark.parametrize("of_parent", ["oom_kill 0\n", "oom_kill 1\n", None])
async def test_of_a_group_that_is_gone_and_was_not_hit_nothing_is_said(unified: Path, of_parent: str | None) -> None:
    if of_parent is not None:
        (unified / "g/memory.events").write_text(of_parent)
    assert not await ControlGroups(Hierarchies({}, unified)).ran_out_of_memory("/g/crishim-never-there.scope")


def nest(top: Path, name: str, depth: int) -> int:
    """The lowest of ``depth`` directories in each other, open; by one path it cannot be reached."""
    parent = os.open(top, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir(name, dir_fd=parent)
        below = os.open(name, os.O_RDONLY, dir_fd=parent)
        os.close(parent)
        parent = below
    return parent


def write(directory: int, name: str, text: str) -> None:
    with os.fdopen(os.open(name, os.O_WRONLY | os.O_CREAT, dir_fd=directory), "w") as file:
        file.write(text)
