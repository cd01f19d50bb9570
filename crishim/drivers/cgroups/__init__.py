"""Control groups, version 1, hybrid and 2: what the node has, where a container's groups are, and what they tell.

Making and limiting groups is the OCI runtime's work. Done here: finding them, reading them, ending what is in them
and removing what a runtime left behind. Names of groups are paths from the roots of the hierarchies.
"""

from crishim.drivers.cgroups.detect import (
    CGROUP_ROOT,
    CgroupDriver,
    CgroupFacts,
    CgroupMode,
    cgroup_mode,
    check_cgroup_parent,
    detect,
)

__all__ = [
    "CGROUP_ROOT",
    "CgroupDriver",
    "CgroupFacts",
    "CgroupMode",
    "cgroup_mode",
    "check_cgroup_parent",
    "detect",
]
