"""Addresses that netlink puts into sets are elements like those of nftables' own language."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from pathlib import Path

import pytest

from cni_runtime.net.libnftables import NftError
from cni_runtime.net.netfilter import Netfilter, NetfilterSocket
from cni_runtime.net.nfelements import create_address, delete_address
from cni_runtime.net.nft import Element, OwnedTable, Owner, Table
from cni_runtime.net.sockets import NetlinkError
from cni_runtime.testing.host import Host

SETS = "set four { type ipv4_addr; }\nset six { type ipv6_addr; }"
BOTH = pytest.mark.parametrize(("name", "address"), [("four", "10.0.0.1"), ("six", "fd00::1")])


@pytest.fixture
def netfilter(host_netns: Host) -> Iterator[NetfilterSocket]:
    host_netns.run("nft", "-f", "-", stdin=f"table inet x {{\n{SETS}\n}}\n")
    with NetfilterSocket() as opened:
        yield opened


@BOTH
def test_an_address_comes_and_goes(host_netns: Host, netfilter: NetfilterSocket, name: str, address: str) -> None:
    netfilter.transact([create_address("inet", "x", name, address)])
    assert f"elements = {{ {address} }}" in host_netns.run("nft", "list", "set", "inet", "x", name)
    netfilter.transact([delete_address("inet", "x", name, address)])
    assert "elements" not in host_netns.run("nft", "list", "set", "inet", "x", name)


@BOTH
def test_it_is_there_once(netfilter: NetfilterSocket, name: str, address: str) -> None:
    netfilter.transact([create_address("inet", "x", name, address)])
    with pytest.raises(NetlinkError, match=f"create element {address} of set {name} of table inet x: File exists"):
        netfilter.transact([create_address("inet", "x", name, address)])


def test_nothing_is_done_when_one_is_refused(host_netns: Host, netfilter: NetfilterSocket) -> None:
    requests = [create_address("inet", "x", "four", "10.0.0.1"), delete_address("inet", "x", "four", "10.0.0.2")]
    with pytest.raises(NetlinkError) as caught:
        netfilter.transact(requests)
    assert caught.value.errno == errno.ENOENT
    assert "10.0.0.1" not in host_netns.run("nft", "list", "ruleset")


class MakesTables:
    """An nft that only makes and removes tables."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def run(self, commands: str) -> str:
        if not commands.startswith("add table"):
            raise NftError(commands)
        return self._host.run("nft", "-f", "-", stdin=commands)


def test_the_next_owner_of_a_table_needs_nothing_else(host_netns: Host, tmp_path: Path) -> None:
    table = OwnedTable(Table("y", SETS), MakesTables(host_netns), tmp_path, Netfilter())
    table.put(Owner("net", "one", "eth0"), (Element("four", "10.0.0.1"),))
    table.put(Owner("net", "two", "eth0"), (Element("four", "10.0.0.2"), Element("six", "fd00::2")))
    assert "10.0.0.1, 10.0.0.2" in host_netns.run("nft", "list", "set", "inet", "y", "four")
    table.drop(Owner("net", "one", "eth0"))
    assert "elements = { 10.0.0.2 }" in host_netns.run("nft", "list", "set", "inet", "y", "four")
