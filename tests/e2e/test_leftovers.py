"""The proof that the other tests' proof, "nothing is left", can fail."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.lab.daemon import crishim
from tests.lab.node import Node

PLANTED = [
    ("ip link add left type veth peer name right", "left"),
    ("ip netns add left", "/run/netns/left"),
    ("mount -t tmpfs tmpfs /media", "/media"),
    ("iptables -t nat -A POSTROUTING -s 10.88.0.9/32 -j ACCEPT", "-s 10.88.0.9/32"),
    ("iptables -t nat -N CNI-DN-0123456789abcdef", "CNI-DN-0123456789abcdef"),
    ("ip6tables -A FORWARD -d fd00:88::9/128 -j ACCEPT", "fd00:88::9"),
    ("nft add table ip t { map m { type inet_service : ipv4_addr; elements = { 80 : 10.88.0.9 }; }; }", "10.88.0.9"),
    ("install -D /dev/null /var/lib/cni/networks/pods/10.88.0.9", "/var/lib/cni/networks/pods/10.88.0.9"),
    ("install -D /dev/null /var/lib/cni/results/pods-left-eth0", "/var/lib/cni/results/pods-left-eth0"),
    ("mkdir -p /run/e2e/root/sandboxes/left", "/run/e2e/root/sandboxes/left"),
    ("mkdir -p /run/e2e/state/sandboxes/left", "/run/e2e/state/sandboxes/left"),
    ("sqlite", "row of attachments: left"),
]
ALLOWED = [
    "ip link add cni0 type bridge",
    "install -D /dev/null /var/lib/cni/networks/pods/lock",
    "install -D /dev/null /var/lib/cni/networks/pods/last_reserved_ip.0",
    "iptables -t nat -A POSTROUTING -s 10.88.0.0/24 -j MASQUERADE",
    "iptables -t nat -N CNI-HOSTPORT-DNAT",
]


@pytest.mark.parametrize(("command", "seen"), PLANTED, ids=[seen for _, seen in PLANTED])
def test_seen(command: str, seen: str) -> None:
    node = Node(Path("/run/e2e"), crishim)
    plant(node, command)
    assert [item for item in node.leftovers(patience=0) if seen in item]


@pytest.mark.parametrize("command", ALLOWED)
def test_allowed(command: str) -> None:
    node = Node(Path("/run/e2e"), crishim)
    plant(node, command)
    assert not node.leftovers(patience=0)


def plant(node: Node, command: str) -> None:
    if command != "sqlite":
        node.host.run(*command.split())
        return
    file = node.home / "root/state.db"
    file.parent.mkdir(parents=True)
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("CREATE TABLE attachments (sandbox_id TEXT)")
        connection.execute("INSERT INTO attachments VALUES ('left')")
