from __future__ import annotations

import pytest

from crishim.core.errors import InvalidArgumentError
from crishim.sandbox.sysctls import check_sysctls, split_by_interface, unprivileged_network, with_defaults

ALLOWED = [
    "net.ipv4.ip_forward",
    "net/core/somaxconn",
    "kernel.shm_rmid_forced",
    "fs.mqueue.msg_max",
    "kernel.domainname",
]


def test_what_is_namespaced_is_allowed() -> None:
    check_sysctls(dict.fromkeys(ALLOWED, "1"), host_network=False, host_ipc=False)


@pytest.mark.parametrize(
    ("name", "host_network", "host_ipc", "reason"),
    [
        ("vm.swappiness", False, False, "is not namespaced"),
        ("kernel.hostname", False, False, "is set by the pod's hostname"),
        ("net.ipv4.ip_forward", True, False, "the node's net namespace"),
        ("kernel.domainname", True, False, "the node's uts namespace"),
        ("kernel.sem", False, True, "the node's IPC namespace"),
        ("net/../vm/swappiness", False, False, "is not the name of a kernel parameter"),
    ],
)
def test_what_would_change_the_node_is_refused(name: str, host_network: bool, host_ipc: bool, reason: str) -> None:
    with pytest.raises(InvalidArgumentError, match=reason):
        check_sysctls({name: "1"}, host_network, host_ipc)


def test_every_refused_one_is_named() -> None:
    with pytest.raises(InvalidArgumentError, match=r"'vm\.a'.*'vm\.b'"):
        check_sysctls({"vm.a": "1", "net.ipv4.ip_forward": "1", "vm.b": "1"}, host_network=False, host_ipc=False)


def test_two_spellings_of_one_parameter_are_refused() -> None:
    sysctls = {"net.ipv4.ip_forward": "1", "net/ipv4/ip_forward": "0"}
    with pytest.raises(InvalidArgumentError, match="are the same parameter"):
        check_sysctls(sysctls, host_network=False, host_ipc=False)


def test_what_needs_no_privileges_can_be_chosen() -> None:
    both = unprivileged_network(ports=True, icmp=True)
    assert unprivileged_network(ports=False, icmp=False) == {}
    assert unprivileged_network(ports=True, icmp=False) | unprivileged_network(ports=False, icmp=True) == both


@pytest.mark.parametrize("name", ["net.ipv4.ping_group_range", "net/ipv4/ping_group_range"])
def test_what_the_pod_asks_for_wins_however_it_is_spelled(name: str) -> None:
    defaults = unprivileged_network(ports=False, icmp=True)
    assert with_defaults({name: "1 0"}, defaults, host_network=False) == {name: "1 0"}


def test_the_node_gets_no_defaults() -> None:
    asked, defaults = {"kernel.sem": "1"}, unprivileged_network(ports=True, icmp=True)
    assert with_defaults(asked, defaults, host_network=True) == asked
    assert with_defaults(asked, defaults, host_network=False) == asked | defaults


def test_those_of_an_interface_wait_for_it() -> None:
    now = {"net.ipv4.conf.all.forwarding": "1", "net.ipv4.conf.lo.forwarding": "1"}
    late = {"net.ipv4.conf.eth0.forwarding": "1"}
    assert split_by_interface(now | late) == (now, late)
