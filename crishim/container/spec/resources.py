"""Limits of a container. The OCI object is the same for both versions of control groups."""

from __future__ import annotations

import re
from collections.abc import Mapping

from msgspec.structs import replace

from crishim.container.spec.fields import LINUX, check_text
from crishim.container.spec.inputs import HostFacts, Json
from crishim.core.errors import InvalidArgumentError, refusal
from crishim.drivers.cgroups import CgroupMode
from crishim.model.pod import Resources

_FIELD = f"{LINUX}.resources"
_CPU_LIST = re.compile(r"[0-9]+(-[0-9]+)?(,[0-9]+(-[0-9]+)?)*")
_PAGE_SIZE = re.compile(r"[1-9][0-9]*(KB|MB|GB)")
_CGROUP_FILE = re.compile(r"[a-z0-9_]+\.[A-Za-z0-9_.]+")
_LEAST_SHARES, _MOST_SHARES = 2, 1 << 18  # kernel/sched/sched.h: what version 1 takes smaller and greater numbers for
_SWAP_FILE = "memory.swap.max"
_INT64_MAX = 2**63 - 1


def linux_resources(resources: Resources, host: HostFacts, before: Resources | None = None) -> Json:
    """The ``resources`` object, without devices; what is 0 or empty is left out, and stays as it is in an update.

    ``before`` are the limits in force, of a container that is updated.
    """
    cpu = {
        "shares": _shares(resources.cpu_shares),
        "quota": _quota(resources.cpu_quota, before.cpu_quota if before else 0),
        "period": resources.cpu_period,
        "cpus": resources.cpuset_cpus,
        "mems": resources.cpuset_mems,
    }
    pages = resources.hugepage_limits.items() if host.hugetlb else ()
    parts = {
        "cpu": {name: value for name, value in cpu.items() if value},
        "memory": _memory(resources, host),
        "hugepageLimits": [{"pageSize": size, "limit": limit} for size, limit in pages],
        "unified": dict(resources.unified),
    }
    return {name: part for name, part in parts.items() if part}


def updated(current: Resources, update: Resources) -> Resources:
    """The limits in force after an update, whose 0 and empty fields change nothing.

    But for swap, which a new memory limit brings back to what it is when nothing is said about it.
    ``oom_score_adj`` is no limit of the group but a property of processes: those that run keep theirs.
    """
    changes = {name: getattr(update, name) for name in update.__struct_fields__ if getattr(update, name)}
    if update.memory_limit_in_bytes:
        changes["memory_swap_limit_in_bytes"] = update.memory_swap_limit_in_bytes
    return replace(
        current,
        **changes
        | {
            "hugepage_limits": {**current.hugepage_limits, **update.hugepage_limits},
            "unified": {**current.unified, **update.unified},
            "oom_score_adj": current.oom_score_adj,
        },
    )


def check_resources(resources: Resources, host: HostFacts, field: str = _FIELD) -> None:
    """Refuse limits that the kernel would refuse, when all else is made already; ``field`` names the message."""
    _check_numbers(resources, field)
    for name in ("cpuset_cpus", "cpuset_mems"):
        text = getattr(resources, name)
        if text and not _CPU_LIST.fullmatch(text):
            raise refusal(f"{field}.{name}", "numbers and ranges such as 0-3,7", text)
    for size in resources.hugepage_limits:
        if not _PAGE_SIZE.fullmatch(size):
            raise refusal(f"{field}.hugepage_limits.page_size", "a size such as 2MB", size)
    _check_unified(resources, host, f"{field}.unified")


def _check_numbers(resources: Resources, field: str) -> None:
    least = {"cpu_period": 0, "cpu_quota": -1, "cpu_shares": 0, "memory_limit_in_bytes": -1}
    for name, minimum in {**least, "memory_swap_limit_in_bytes": -1}.items():
        value = getattr(resources, name)
        if not minimum <= value <= _INT64_MAX:
            raise refusal(f"{field}.{name}", f"at least {minimum}", value)
    limit, swap = resources.memory_limit_in_bytes, resources.memory_swap_limit_in_bytes
    if swap > 0 and not 0 < limit <= swap:
        message = "memory and swap together, so not less than memory_limit_in_bytes, which it needs"
        raise refusal(f"{field}.memory_swap_limit_in_bytes", message, swap)


def _check_unified(resources: Resources, host: HostFacts, field: str) -> None:
    if resources.unified and host.cgroup_mode is not CgroupMode.V2:
        raise InvalidArgumentError(f"{field}: needs cgroup v2, and this node has {host.cgroup_mode}")
    for name, value in resources.unified.items():
        if not _CGROUP_FILE.fullmatch(name):
            raise refusal(field, "names of control group files such as memory.high", name)
        check_text(f"{field}[{name}]", value)


def _shares(asked: int) -> int:
    """OCI runtimes make of others a weight of version 2 that the kernel refuses."""
    return min(max(asked, _LEAST_SHARES), _MOST_SHARES) if asked else 0


def _quota(asked: int, before: int) -> int:
    """None is asked for (-1) only where there was one: crun 1.8 cannot write that to cgroup v1.

    kubelet asks for none for whoever has processors of its own.
    """
    return 0 if asked < 0 and before <= 0 else asked


def _memory(resources: Resources, host: HostFacts) -> Json:
    """Limits of memory, and of memory and swap together."""
    limit, swap = resources.memory_limit_in_bytes, resources.memory_swap_limit_in_bytes
    if not limit:
        return {"swap": swap} if swap and host.swap else {}
    return {"limit": limit, "swap": swap or _usual_swap(limit, resources.unified)} if host.swap else {"limit": limit}


def _usual_swap(limit: int, unified: Mapping[str, str]) -> int:
    """Without a word about swap there is none: memory and swap together get the memory limit.

    kubelet's word is a file of cgroup v2. crun sets that in its own group, but what is returned here in one above.
    """
    asked = unified.get(_SWAP_FILE, "0")
    if asked == "max":
        return -1
    return min(limit + int(asked), _INT64_MAX) if limit > 0 and asked.isdecimal() else limit
