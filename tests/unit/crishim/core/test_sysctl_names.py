from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crishim.core.errors import InvalidArgumentError
from crishim.core.sysctls import sysctl_interface, sysctl_namespace, sysctl_path


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("kernel.shm_rmid_forced", "kernel/shm_rmid_forced"),
        ("net/ipv4/ip_forward", "net/ipv4/ip_forward"),
        ("net.ipv4.conf.eth0/1.forwarding", "net/ipv4/conf/eth0.1/forwarding"),
        ("net/ipv4/conf/eth0.1/forwarding", "net/ipv4/conf/eth0.1/forwarding"),
    ],
)
def test_both_spellings_lead_to_one_path(name: str, path: str) -> None:
    assert "/".join(sysctl_path(name)) == path


@pytest.mark.parametrize(
    "name",
    [
        "",
        "net",
        "net.",
        ".net.a",
        "/net/a",
        "net..a",
        "net/../kernel/hostname",
        "net.//.a",
        "net.a\0b",
        "net.a b",
        "./a",
    ],
)
def test_a_name_that_is_no_parameter_is_refused(name: str) -> None:
    with pytest.raises(InvalidArgumentError, match="not the name of a kernel parameter"):
        sysctl_path(name)


@given(st.text(alphabet="./ab0_-", max_size=20))
def test_no_name_leads_out_of_its_directory(name: str) -> None:
    try:
        path = sysctl_path(name)
    except InvalidArgumentError:
        return
    assert all(part and part not in (".", "..") and "/" not in part for part in path)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("net.core.somaxconn", "net"),
        ("kernel.shmmax", "ipc"),
        ("kernel.shm_rmid_forced", "ipc"),
        ("kernel.msgmax", "ipc"),
        ("kernel.sem", "ipc"),
        ("fs.mqueue.msg_max", "ipc"),
        ("kernel.domainname", "uts"),
        ("kernel.pid_max", None),
        ("kernel.semantic", None),
        ("fs.file-max", None),
        ("vm.swappiness", None),
        ("netfilter.x", None),
    ],
)
def test_the_namespace_of_a_parameter(name: str, kind: str | None) -> None:
    assert sysctl_namespace(sysctl_path(name)) == kind


@pytest.mark.parametrize(
    ("name", "interface"),
    [
        ("net.ipv4.conf.eth0/1.forwarding", "eth0.1"),
        ("net.ipv6.neigh.eth0.retrans_time_ms", "eth0"),
        ("net.ipv4.conf.all.forwarding", None),
        ("net.ipv4.ip_forward", None),
    ],
)
def test_the_interface_of_a_parameter(name: str, interface: str | None) -> None:
    assert sysctl_interface(sysctl_path(name)) == interface
