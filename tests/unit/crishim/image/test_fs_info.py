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


def test_one_file_system_has_one_name(tmp_path: Path) -> None:
    containers = tmp_path / "containers"
    assert image_mountpoint(tmp_path, containers) == str(containers)
    assert containers.is_dir()
    assert image_mountpoint(Path("/proc"), containers) == "/proc"
