from __future__ import annotations

from pathlib import Path

import pytest

from crishim.core.errors import InvalidArgumentError
from crishim.drivers.cgroups.hierarchy import Hierarchies, group_path, hierarchies, slice_path
from crishim.drivers.mounts import Mount

ROOT = Path("/sys/fs/cgroup")
V1 = (Mount(f"{ROOT}/cpu,cpuacct", "cgroup"), Mount(f"{ROOT}/memory", "cgroup"))
UNIFIED = Mount(f"{ROOT}/unified", "cgroup2")
CONTROLLERS = {"cpu": ROOT / "cpu,cpuacct", "cpuacct": ROOT / "cpu,cpuacct", "memory": ROOT / "memory"}


@pytest.mark.parametrize(
    ("mounts", "expected"),
    [
        ((Mount(str(ROOT), "cgroup2"),), Hierarchies({}, ROOT)),
        ((Mount(str(ROOT), "tmpfs"), *V1), Hierarchies(CONTROLLERS)),
        ((*V1, UNIFIED), Hierarchies(CONTROLLERS, ROOT / "unified")),
        ((Mount("/srv/cgroup", "cgroup2"), Mount(f"{ROOT}/a/b", "cgroup")), Hierarchies()),
    ],
)
def test_hierarchies_follow_from_mounts(mounts: tuple[Mount, ...], expected: Hierarchies) -> None:
    assert hierarchies(mounts) == expected


def test_a_group_is_in_every_hierarchy_once() -> None:
    hybrid = hierarchies((*V1, UNIFIED))
    names = ("cpu,cpuacct", "memory", "unified")
    assert hybrid.directories("/pod/c1") == [ROOT / name / "pod/c1" for name in names]
    assert hybrid.few_directories("/pod/c1") == [ROOT / "unified/pod/c1", ROOT / "cpu,cpuacct/pod/c1"]


def test_a_controller_that_has_no_hierarchy_of_its_own_is_in_the_unified_one() -> None:
    hybrid = hierarchies((*V1, UNIFIED))
    assert hybrid.directory("memory", "/c1") == ROOT / "memory/c1"
    assert hybrid.directory("hugetlb", "/c1") == ROOT / "unified/c1"
    assert Hierarchies().directory("memory", "/c1") is None


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("a.slice", "/a.slice"),
        ("a-b-c.slice", "/a.slice/a-b.slice/a-b-c.slice"),
        ("-.slice", "/"),
        ("", "/"),
    ],
)
def test_slices_nest_by_name(name: str, path: str) -> None:
    assert slice_path(name) == path


@pytest.mark.parametrize(
    ("path", "systemd", "group"),
    [
        ("/pod/c1", False, "/pod/c1"),
        ("//pod//c1/", False, "/pod/c1"),
        ("a-b.slice:crishim:c1", True, "/a.slice/a-b.slice/crishim-c1.scope"),
        (":crishim:c1", True, "/system.slice/crishim-c1.scope"),
        ("-.slice:crishim:c1", True, "/crishim-c1.scope"),
        ("a.slice::c1", True, "/a.slice/c1.scope"),
    ],
)
def test_a_path_stands_for_a_group(path: str, systemd: bool, group: str) -> None:
    assert group_path(path, systemd=systemd) == group


@pytest.mark.parametrize(
    ("path", "systemd"),
    [
        ("/", False),
        ("", False),
        ("pod", False),
        ("/a/../b", False),
        ("/pod/c1", True),
        ("a:b", True),
        ("a:b:c:d", True),
    ],
)
def test_a_path_that_is_none_is_refused(path: str, systemd: bool) -> None:
    with pytest.raises(InvalidArgumentError, match=r"linux\.cgroupsPath: expected"):
        group_path(path, systemd=systemd)
