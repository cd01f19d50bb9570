"""When a start of the server labels the layers of containers."""

from __future__ import annotations

from pathlib import Path

import pytest

from crishim.app.selinux import open_selinux
from crishim.drivers.cgroups import CgroupMode
from crishim.drivers.host_facts import HostFacts

pytestmark = pytest.mark.anyio


def facts(*, labels: bool) -> HostFacts:
    return HostFacts(cgroup_mode=CgroupMode.V2, selinux=True, selinux_labels=labels)


def content(directory: Path) -> list[Path]:
    return list(directory.iterdir())


async def test_nothing_is_done_where_containers_have_no_labels(tmp_path: Path) -> None:
    assert await open_selinux(facts(labels=False), tmp_path / "layers", tmp_path / "containers") is None
    assert content(tmp_path) == []


async def test_a_failure_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    problem = await open_selinux(facts(labels=True), tmp_path / "file/layers", tmp_path / "containers")
    assert problem
    assert "ENOTDIR" in problem
