"""What control groups the node has, and which names a pod's parent group may have."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path

from msgspec import Struct

from crishim.core.errors import refusal
from crishim.drivers import threads
from crishim.drivers.mounts import Mount, read_mounts

CGROUP_ROOT = "/sys/fs/cgroup"

_SYSTEMD_RUNS = Path("/run/systemd/system")  # see sd_booted(3)


class CgroupMode(StrEnum):
    """Which hierarchies are mounted: one per controller, those and the unified one, the unified one, or none."""

    V1 = "v1"
    HYBRID = "hybrid"
    V2 = "v2"
    ABSENT = "absent"


class CgroupDriver(StrEnum):
    """Who makes the groups; the kubelet has to use the same."""

    CGROUPFS = "cgroupfs"
    SYSTEMD = "systemd"


class CgroupFacts(Struct, frozen=True):
    """The cgroups of this node."""

    mode: CgroupMode
    driver: CgroupDriver


async def detect(systemd_configured: bool) -> CgroupFacts:
    """Find out the mode, and the driver: systemd when it is configured and manages this machine, else cgroupfs."""
    return await threads.run(_detect, systemd_configured)


def cgroup_mode(mounts: Iterable[Mount]) -> CgroupMode:
    """The mode that ``mounts`` make; the last one at a mount point is the one that is seen."""
    seen = {mount.point: mount.filesystem for mount in mounts if f"{mount.point}/".startswith(f"{CGROUP_ROOT}/")}
    if seen.get(CGROUP_ROOT) == "cgroup2":
        return CgroupMode.V2
    kinds = set(seen.values())
    if "cgroup" not in kinds:
        return CgroupMode.ABSENT
    return CgroupMode.HYBRID if "cgroup2" in kinds else CgroupMode.V1


def check_cgroup_parent(parent: str, driver: CgroupDriver) -> None:
    """Raise InvalidArgumentError when ``parent`` cannot be a pod's parent group; empty means the root group.

    For cgroupfs it is a path below the hierarchies' roots, for systemd a slice, by itself or as the end of a path.
    """
    if not parent:
        return
    if "\0" in parent or ".." in parent.split("/"):
        raise refusal("config.linux.cgroup_parent", "a path without ..", parent)
    if driver is CgroupDriver.SYSTEMD and not parent.rstrip("/").endswith(".slice"):
        raise refusal("config.linux.cgroup_parent", "a name of a systemd slice", parent)


def _detect(systemd_configured: bool) -> CgroupFacts:
    use_systemd = systemd_configured and _SYSTEMD_RUNS.is_dir()
    return CgroupFacts(cgroup_mode(read_mounts()), CgroupDriver.SYSTEMD if use_systemd else CgroupDriver.CGROUPFS)
