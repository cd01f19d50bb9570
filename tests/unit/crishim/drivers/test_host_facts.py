"""What the node can do, read from a tree of files that plays the node."""

import os
from pathlib import Path

import pytest
from msgspec.structs import replace

from crishim.core.capability_names import CAPABILITIES
from crishim.core.errors import SystemCallError
from crishim.drivers.cgroups import CgroupMode
from crishim.drivers.host_facts import HostFacts, _gather, _refreshed, gather

EVERYTHING = f"{(1 << len(CAPABILITIES)) - 1:016x}"
WITHOUT_RESOURCE = f"{(1 << len(CAPABILITIES)) - 1 & ~(1 << 24):016x}"


class Node:
    """The root of a node; ``facts`` are what is found there."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "dev").mkdir()
        self.write("proc/self/status", f"Name:\tcrishim\nCapBnd:\t{EVERYTHING}\nSeccomp:\t0\n")
        self.write("proc/self/oom_score_adj", "-500\n")

    def write(self, path: str, text: str = "") -> None:
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_text(text)

    def facts(
        self,
        mode: CgroupMode = CgroupMode.V1,
        *,
        restricted: bool = False,
        enable_selinux: bool = False,
        disable_apparmor: bool = False,
    ) -> HostFacts:
        return _gather(
            mode,
            systemd=False,
            restrict_oom_score_adj=restricted,
            enable_selinux=enable_selinux,
            disable_apparmor=disable_apparmor,
            root=self.root,
        )


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path)


def test_bare(node: Node) -> None:
    facts = node.facts()
    assert replace(facts, architecture="") == HostFacts(
        cgroup_mode=CgroupMode.V1, hugetlb=False, swap=False, architecture=""
    )


@pytest.mark.parametrize(
    ("bounding", "restricted", "least"),
    [(EVERYTHING, False, -1000), (EVERYTHING, True, -500), (WITHOUT_RESOURCE, False, -500)],
)
def test_oom_score(node: Node, bounding: str, restricted: bool, least: int) -> None:
    node.write("proc/self/status", f"CapBnd:\t{bounding}\n")
    assert node.facts(restricted=restricted).oom_score_adj_min == least


def test_an_oom_score_that_can_not_be_read(node: Node) -> None:
    node.write("proc/self/oom_score_adj", "")
    with pytest.raises(SystemCallError, match="oom_score_adj: expected a number"):
        node.facts(restricted=True)


def test_capabilities_and_seccomp(node: Node) -> None:
    node.write("proc/self/status", "CapBnd:\t0000000000000401\n")
    facts = node.facts()
    assert sorted(facts.capabilities) == ["CAP_CHOWN", "CAP_NET_BIND_SERVICE"]
    assert not facts.seccomp


@pytest.mark.parametrize(
    ("enabled", "disabled", "expected"), [("Y\n", False, True), ("N\n", False, False), ("Y\n", True, False)]
)
def test_apparmor(node: Node, enabled: str, disabled: bool, expected: bool) -> None:
    node.write("sys/module/apparmor/parameters/enabled", enabled)
    node.write("sys/kernel/security/apparmor/profiles", "crishim-default (enforce)\nwith blank (x) (complain)\n")
    facts = node.facts(disable_apparmor=disabled)
    assert facts.apparmor is expected
    assert facts.apparmor_profiles == ({"crishim-default", "with blank (x)"} if expected else set())


def test_what_changes_while_the_server_runs(node: Node) -> None:
    node.write("sys/module/apparmor/parameters/enabled", "Y")
    before = node.facts()
    node.write("sys/kernel/security/apparmor/profiles", "new (enforce)\n")
    os.mkfifo(node.root / "dev/pipe")
    after = _refreshed(before, node.root)
    assert after.apparmor_profiles == {"new"}
    assert [device.kind for device in after.devices] == ["p"]
    assert replace(after, apparmor_profiles=before.apparmor_profiles, devices=before.devices) == before


def test_selinux(node: Node) -> None:
    assert not node.facts(enable_selinux=True).selinux_labels
    node.write("sys/fs/selinux/enforce", "1")
    assert [node.facts(enable_selinux=wanted).selinux_labels for wanted in (False, True)] == [False, True]
    assert node.facts().selinux


@pytest.mark.parametrize(
    ("mode", "files", "expected"),
    [
        (CgroupMode.V1, {"hugetlb/tasks": ""}, (True, False)),
        (CgroupMode.HYBRID, {"memory/memory.memsw.limit_in_bytes": ""}, (False, True)),
        (CgroupMode.V2, {"cgroup.controllers": "cpu hugetlb memory\n"}, (True, False)),
        (CgroupMode.V2, {"cgroup.controllers": "cpu", "system.slice/memory.swap.max": ""}, (False, True)),
    ],
)
def test_controllers(node: Node, mode: CgroupMode, files: dict[str, str], expected: tuple[bool, bool]) -> None:
    for name, text in files.items():
        node.write(f"sys/fs/cgroup/{name}", text)
    facts = node.facts(mode)
    assert (facts.hugetlb, facts.swap) == expected


@pytest.mark.parametrize(
    ("release", "able"),
    [("5.10.0-28-amd64\n", False), ("5.12.0\n", True), ("5.9\n", False), ("6.1.0-18-arm64\n", True), ("?\n", False)],
)
def test_mounts_that_the_kernel_has_to_be_new_enough_for(node: Node, release: str, able: bool) -> None:
    node.write("proc/sys/kernel/osrelease", release)
    facts = node.facts()
    assert (facts.recursive_read_only, facts.id_mapped_mounts) == (able, able)


def test_options_of_cgroup2(node: Node) -> None:
    options = "favordynmods,memory_hugetlb_accounting,memory_localevents,memory_recursiveprot,nsdelegate"
    line = f"30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,seclabel,{options},pids_localevents\n"
    node.write("proc/self/mountinfo", f"1 1 0:1 / / rw - ext4 /dev/a rw\n{line}")
    assert node.facts().cgroup2_options == (*options.split(","), "pids_localevents")


@pytest.mark.anyio
async def test_this_node() -> None:
    facts = await gather()
    assert facts.architecture == os.uname().machine
