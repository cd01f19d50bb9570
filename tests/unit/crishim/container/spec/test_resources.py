"""Limits: what the OCI object says, what an update changes, and what is refused."""

from typing import Any

import pytest
from msgspec.structs import replace

from crishim.container.spec.resources import check_resources, linux_resources, updated
from crishim.core.errors import InvalidArgumentError
from crishim.drivers.cgroups import CgroupMode
from crishim.model.pod import Resources
from tests.unit.crishim.container.spec.parts import HOST

SWAP = "memory.swap.max"
MEMORY_5, MEMORY_14, ANY_SWAP = ({"limit": 5, "swap": swap} for swap in (5, 14, -1))
UNLIMITED = {"limit": -1, "swap": -1}


@pytest.mark.parametrize(
    ("resources", "host", "expected"),
    [
        ({}, {}, {}),
        ({"cpu_shares": 2, "cpuset_cpus": "0"}, {}, {"cpu": {"shares": 2, "cpus": "0"}}),
        ({"cpu_shares": 1}, {}, {"cpu": {"shares": 2}}),
        ({"cpu_shares": 262_145}, {}, {"cpu": {"shares": 262_144}}),
        ({"cpu_quota": 4, "cpu_period": 3, "cpuset_mems": "1"}, {}, {"cpu": {"quota": 4, "period": 3, "mems": "1"}}),
        ({"cpu_quota": -1, "cpu_period": 3}, {}, {"cpu": {"period": 3}}),
        ({"memory_limit_in_bytes": 5}, {}, {"memory": {"limit": 5, "swap": 5}}),
        ({"memory_limit_in_bytes": 5}, {"swap": False}, {"memory": {"limit": 5}}),
        (
            {"memory_limit_in_bytes": 5, "memory_swap_limit_in_bytes": 9},
            {},
            {"memory": {"limit": 5, "swap": 9}},
        ),
        ({"memory_limit_in_bytes": 5, "memory_swap_limit_in_bytes": -1}, {}, {"memory": {"limit": 5, "swap": -1}}),
        ({"memory_swap_limit_in_bytes": -1}, {"swap": False}, {}),
        ({"memory_limit_in_bytes": 5, "unified": {SWAP: "9"}}, {}, {"memory": MEMORY_14, "unified": {SWAP: "9"}}),
        ({"memory_limit_in_bytes": 5, "unified": {SWAP: "0"}}, {}, {"memory": MEMORY_5, "unified": {SWAP: "0"}}),
        ({"memory_limit_in_bytes": 5, "unified": {SWAP: "1K"}}, {}, {"memory": MEMORY_5, "unified": {SWAP: "1K"}}),
        ({"memory_limit_in_bytes": 5, "unified": {SWAP: "max"}}, {}, {"memory": ANY_SWAP, "unified": {SWAP: "max"}}),
        ({"memory_limit_in_bytes": -1, "unified": {SWAP: "9"}}, {}, {"memory": UNLIMITED, "unified": {SWAP: "9"}}),
        ({"hugepage_limits": {"2MB": 0}}, {}, {"hugepageLimits": [{"pageSize": "2MB", "limit": 0}]}),
        ({"hugepage_limits": {"2MB": 0}}, {"hugetlb": False}, {}),
        ({"unified": {"memory.high": "1"}}, {}, {"unified": {"memory.high": "1"}}),
        ({"oom_score_adj": 5}, {}, {}),
    ],
)
def test_the_object(resources: dict[str, Any], host: dict[str, Any], expected: dict[str, Any]) -> None:
    assert linux_resources(Resources(**resources), replace(HOST, **host)) == expected


@pytest.mark.parametrize(("before", "expected"), [(0, {}), (-1, {}), (5, {"cpu": {"quota": -1}})])
def test_an_update_lifts_a_quota_only_where_there_is_one(before: int, expected: dict[str, Any]) -> None:
    assert linux_resources(Resources(cpu_quota=-1), HOST, Resources(cpu_quota=before)) == expected


def test_an_update_changes_what_it_says() -> None:
    current = Resources(cpu_shares=2, cpu_quota=3, hugepage_limits={"2MB": 1, "1GB": 1}, unified={"a.b": "1"})
    update = Resources(cpu_shares=9, cpuset_cpus="1", hugepage_limits={"2MB": 5})
    assert updated(current, update) == Resources(
        cpu_shares=9, cpu_quota=3, cpuset_cpus="1", hugepage_limits={"2MB": 5, "1GB": 1}, unified={"a.b": "1"}
    )
    assert updated(current, Resources()) == current


def test_an_update_can_not_change_what_processes_that_run_have() -> None:
    assert updated(Resources(oom_score_adj=5), Resources(cpu_shares=2, oom_score_adj=900)).oom_score_adj == 5


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"cpu_period": -1}, "cpu_period: expected at least 0; found -1"),
    ({"cpu_quota": -2}, "cpu_quota: expected at least -1"),
    ({"cpu_shares": -1}, "cpu_shares: expected at least 0"),
    ({"memory_limit_in_bytes": -2}, "memory_limit_in_bytes: expected at least -1"),
    ({"memory_swap_limit_in_bytes": -2}, "memory_swap_limit_in_bytes: expected at least -1"),
    ({"memory_swap_limit_in_bytes": 5}, "memory_swap_limit_in_bytes: expected memory and swap together"),
    (
        {"memory_limit_in_bytes": 6, "memory_swap_limit_in_bytes": 5},
        "memory_swap_limit_in_bytes: expected memory and swap together",
    ),
    ({"cpuset_cpus": "0-"}, "cpuset_cpus: expected numbers and ranges such as 0-3,7; found '0-'"),
    ({"cpuset_mems": "0\n"}, "cpuset_mems: expected numbers and ranges"),
    ({"hugepage_limits": {"2M": 1}}, "hugepage_limits.page_size: expected a size such as 2MB; found '2M'"),
    ({"unified": {"../memory.high": "1"}}, "unified: expected names of control group files such as memory.high"),
    ({"unified": {"memory": "1"}}, "unified: expected names"),
    ({"unified": {"memory.high": "\0"}}, "unified[memory.high]: expected text without NUL"),
]


@pytest.mark.parametrize(("resources", "message"), REFUSED)
def test_refused(resources: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        check_resources(Resources(**resources), HOST)
    assert str(caught.value).startswith(f"config.linux.resources.{message}")


@pytest.mark.parametrize("mode", [CgroupMode.V1, CgroupMode.HYBRID])
def test_unified_keys_need_v2(mode: CgroupMode) -> None:
    with pytest.raises(InvalidArgumentError, match=rf"^linux.unified: needs cgroup v2, and this node has {mode}"):
        check_resources(Resources(unified={"memory.high": "1"}), replace(HOST, cgroup_mode=mode), "linux")


@pytest.mark.parametrize(
    "resources",
    [
        Resources(cpuset_cpus="0-3,7,9-10", cpuset_mems="0", cpu_quota=-1),
        Resources(memory_limit_in_bytes=5, memory_swap_limit_in_bytes=5),
        Resources(hugepage_limits={"2MB": 1, "1GB": 2, "64KB": 3}, unified={"hugetlb.1GB.max": "1"}),
    ],
)
def test_accepted(resources: Resources) -> None:
    check_resources(resources, HOST)
