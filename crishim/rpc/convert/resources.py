"""Limits of a pod or container."""

from __future__ import annotations

from crishim.model.pod import Resources
from crishim.rpc.convert.message import Fields
from crishim.rpc.pb import api_pb2 as pb


def resources(message: pb.LinuxContainerResources) -> Resources:
    """The limits as they stand; whether the machine can honour them is found out where they are applied."""
    return Resources(
        cpu_period=message.cpu_period,
        cpu_quota=message.cpu_quota,
        cpu_shares=message.cpu_shares,
        memory_limit_in_bytes=message.memory_limit_in_bytes,
        oom_score_adj=message.oom_score_adj,
        cpuset_cpus=message.cpuset_cpus,
        cpuset_mems=message.cpuset_mems,
        hugepage_limits={limit.page_size: limit.limit for limit in message.hugepage_limits},
        unified=dict(message.unified),
        memory_swap_limit_in_bytes=message.memory_swap_limit_in_bytes,
    )


def resources_fields(limits: Resources) -> Fields:
    """As a status shows them."""
    return {
        "cpu_period": limits.cpu_period,
        "cpu_quota": limits.cpu_quota,
        "cpu_shares": limits.cpu_shares,
        "memory_limit_in_bytes": limits.memory_limit_in_bytes,
        "oom_score_adj": limits.oom_score_adj,
        "cpuset_cpus": limits.cpuset_cpus,
        "cpuset_mems": limits.cpuset_mems,
        "hugepage_limits": [{"page_size": size, "limit": limit} for size, limit in limits.hugepage_limits.items()],
        "unified": limits.unified,
        "memory_swap_limit_in_bytes": limits.memory_swap_limit_in_bytes,
    }
