from __future__ import annotations

import pytest

from crishim.core.errors import InvalidArgumentError
from crishim.drivers.cgroups import CgroupDriver, CgroupMode, cgroup_mode, check_cgroup_parent, detect
from crishim.drivers.mounts import Mount


@pytest.mark.parametrize(
    ("mounts", "mode"),
    [
        ([("/sys/fs/cgroup", "cgroup2")], CgroupMode.V2),
        ([("/sys/fs/cgroup", "tmpfs"), ("/sys/fs/cgroup/cpu", "cgroup")], CgroupMode.V1),
        ([("/sys/fs/cgroup/cpu", "cgroup"), ("/sys/fs/cgroup/unified", "cgroup2")], CgroupMode.HYBRID),
        ([("/sys/fs/cgroup", "tmpfs"), ("/srv/cgroup", "cgroup2")], CgroupMode.ABSENT),
        ([("/sys/fs/cgroup", "cgroup2"), ("/sys/fs/cgroup", "tmpfs")], CgroupMode.ABSENT),
        ([], CgroupMode.ABSENT),
    ],
)
def test_the_mode_follows_from_the_mounts(mounts: list[tuple[str, str]], mode: CgroupMode) -> None:
    assert cgroup_mode(Mount(*mount) for mount in mounts) is mode


@pytest.mark.anyio
async def test_cgroupfs_is_the_driver_unless_systemd_is_wanted() -> None:
    assert (await detect(systemd_configured=False)).driver is CgroupDriver.CGROUPFS


@pytest.mark.parametrize(
    ("parent", "driver"),
    [
        ("", CgroupDriver.SYSTEMD),
        ("/kubepods/burstable/pod1", CgroupDriver.CGROUPFS),
        ("pod..1", CgroupDriver.CGROUPFS),
        ("kubepods-pod1.slice", CgroupDriver.SYSTEMD),
        ("/kubepods.slice/kubepods-pod1.slice", CgroupDriver.SYSTEMD),
    ],
)
def test_a_parent_that_can_be(parent: str, driver: CgroupDriver) -> None:
    check_cgroup_parent(parent, driver)


@pytest.mark.parametrize(
    ("parent", "driver"),
    [
        ("/a/../b", CgroupDriver.CGROUPFS),
        ("..", CgroupDriver.CGROUPFS),
        ("a\0b", CgroupDriver.CGROUPFS),
        ("/kubepods/pod1", CgroupDriver.SYSTEMD),
    ],
)
def test_a_parent_that_cannot_be(parent: str, driver: CgroupDriver) -> None:
    with pytest.raises(InvalidArgumentError, match=r"config\.linux\.cgroup_parent"):
        check_cgroup_parent(parent, driver)
