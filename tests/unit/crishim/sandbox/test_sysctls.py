from __future__ import annotations

import pytest

from crishim.core.errors import InvalidArgumentError
from crishim.sandbox.sysctls import check_sysctls, split_by_interface

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


def test_those_of_an_interface_wait_for_it() -> None:
    now = {"net.ipv4.conf.all.forwarding": "1", "net.ipv4.conf.lo.forwarding": "1"}
    late = {"net.ipv4.conf.eth0.forwarding": "1"}
    assert split_by_interface(now | late) == (now, late)
