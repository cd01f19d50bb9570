"""Hugetlb for crun 1.8 on a host with both versions of cgroups: it refuses one whose version 2 holds a controller."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_CGROUPS = Path("/sys/fs/cgroup")
_HUGETLB = _CGROUPS / "hugetlb"


def mount_hugetlb() -> bool:
    """Mount the controller in version 1, unless it is there; whether it was mounted, to be undone by the caller.

    Whether version 2 holds it now does not matter: the kernel keeps a hierarchy without a mount while it has groups,
    and crun would then make plain directories where the mount should be.
    """
    hybrid = (_CGROUPS / "unified/cgroup.controllers").exists()
    known = any(line.startswith("hugetlb\t") for line in Path("/proc/cgroups").read_text().splitlines())
    if not (hybrid and known) or (_HUGETLB / "tasks").exists():
        return False
    _HUGETLB.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "cgroup", "-o", "hugetlb", "cgroup", _HUGETLB], check=True)
    return True


@contextmanager
def mounted_hugetlb() -> Iterator[None]:
    """The controller where crun wants it; taken away afterwards."""
    mounted = mount_hugetlb()
    try:
        yield
    finally:
        if mounted:
            subprocess.run(["umount", _HUGETLB], check=False)
