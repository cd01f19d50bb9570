"""What the writable layers take: counted once for all who ask."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest

from crishim.core.tasks import TaskOwner
from crishim.image.fs_info import TreeUsage, image_mountpoint

pytestmark = pytest.mark.anyio


class SlowTree:
    """Is measured when it is let."""

    def __init__(self) -> None:
        self.times, self.let = 0, threading.Event()

    def __call__(self, root: Path) -> tuple[int, int]:
        self.times += 1
        self.let.wait(10)
        return 4096 * self.times, self.times


async def test_all_who_ask_meanwhile_wait_for_one_count() -> None:
    """Also when one has given up, as kubelet does after two minutes."""
    tree, owner, now = SlowTree(), TaskOwner(), [1000.0]
    usage = TreeUsage(Path("/containers"), owner, lambda: now[0], tree)
    callers = [asyncio.create_task(usage()) for _ in range(3)]
    await asyncio.sleep(0)
    callers[0].cancel()
    await asyncio.wait(callers[:1])
    tree.let.set()
    found = await asyncio.gather(*callers[1:], usage())
    assert [(each.used_bytes, each.inodes_used) for each in found] == 3 * [(4096, 1)]
    now[0] += 11
    assert (await usage()).inodes_used == 2
    await owner.aclose()


async def test_a_count_that_takes_long_keeps_nobody_waiting() -> None:
    """A kubelet asks before it starts, and does not without an answer."""
    tree, owner, now = SlowTree(), TaskOwner(), [1000.0]
    usage = TreeUsage(Path("/containers"), owner, lambda: now[0], tree, patience=0.01)
    found = await usage()
    assert (found.used_bytes, found.inodes_used, found.timestamp > 0) == (0, 0, True)
    tree.let.set()
    while not (await usage()).inodes_used:
        pass
    tree.let.clear()
    now[0] += 11
    assert (await usage()).inodes_used == 1
    tree.let.set()
    await owner.aclose()


async def test_what_takes_long_to_count_is_counted_less_often() -> None:
    owner, now, counted = TaskOwner(), [1000.0], []

    def measure(_: Path) -> tuple[int, int]:
        counted.append(now[0])
        now[0] += 100
        return 0, 0

    usage = TreeUsage(Path("/containers"), owner, lambda: now[0], measure)
    for seconds in (0, 11, 380, 20):
        now[0] += seconds
        await usage()
    assert counted == [1000.0, 1511.0]
    await owner.aclose()


def test_one_file_system_has_one_name(tmp_path: Path) -> None:
    containers = tmp_path / "containers"
    assert image_mountpoint(tmp_path, containers) == str(containers)
    assert containers.is_dir()
    assert image_mountpoint(Path("/proc"), containers) == "/proc"
