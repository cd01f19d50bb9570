"""Ending what is in real groups of cgroup v2."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from secrets import token_hex

import pytest

from crishim.drivers.cgroups.groups import ControlGroups
from crishim.drivers.cgroups.hierarchy import Hierarchies, hierarchies
from crishim.drivers.mounts import read_mounts

pytestmark = pytest.mark.anyio


@pytest.fixture
def group() -> Iterator[Path]:
    root = hierarchies(read_mounts()).unified
    if root is None:
        pytest.skip("no cgroup v2")
    path = root / f"crishim-test-{token_hex(4)}"
    path.mkdir()
    yield path
    if path.exists():
        path.rmdir()


async def test_a_group_of_threads_is_nothing_that_can_be_killed(group: Path) -> None:
    (group / "cgroup.type").write_text("threaded")
    groups = ControlGroups(Hierarchies({}, group.parent))
    assert await groups.kill(f"/{group.name}") == frozenset()
    await groups.remove(f"/{group.name}")
    assert not (group / "cgroup.procs").exists()
