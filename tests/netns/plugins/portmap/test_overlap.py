"""Pods whose subnets overlap: one was widened while pods run, or another plugin gives single addresses."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from cni_runtime.call import Verb
from cni_runtime.ip import ip_interface
from cni_runtime.net.libnftables import open_nft
from cni_runtime.net.nft import STATE, OwnedTable, Owner, Table
from cni_runtime.plugins.portmap.config import Forward, PortmapConfig
from cni_runtime.plugins.portmap.table import elements, portmap_table
from tests.netns.plugins.conftest import Config
from tests.netns.plugins.portmap.conftest import HOST4, PTP, TABLE, Ports, port
from tests.netns.plugins.traffic import ask

pytestmark = pytest.mark.anyio

OLD, NEW = Owner("net", "old", "eth0"), Owner("net", "new", "eth0")


GIVEN = {"address": "10.1.3.2/16", "gateway": "10.1.255.1"}
WIDER: Config = {**PTP, "ipam": {"type": "static", "addresses": [GIVEN], "routes": [{"dst": "0.0.0.0/0"}]}}


def as_it_was(table: Table) -> Table:
    """The table with sets of subnets, as it was made once."""
    body = table.body
    for family, ip in ((4, "ip"), (6, "ip6")):
        kind = f"type ipv{family}_addr . ipv{family}_addr; flags interval;"
        body = body.replace(f"chain subnets{family} {{\n    }}", f"set subnets{family} {{ {kind} }}")
        body = body.replace(f"jump subnets{family}", f"{ip} saddr . {ip} daddr @subnets{family} masquerade")
    return msgspec.structs.replace(table, body=body, rules=())


def forward(pod: str, length: int, host_port: int) -> tuple[Forward, ...]:
    return (Forward(4, "tcp", "", host_port, pod, str(ip_interface(f"{pod}/{length}").network), 80),)


def subnets(ports: Ports) -> str:
    return ports.pods.host.run("nft", "list", "chain", "inet", TABLE, "subnets4")


async def test_pods_of_both_subnets_have_ports(ports: Ports, outside: Path) -> None:
    await ports.add("a", port(8080))
    await ports.add("b", port(8081), network=WIDER)
    for client in (outside, ports.pods.netns["b"]):
        assert ask("tcp", HOST4, 8081, client).startswith("b ")
    await ports.portmap(Verb.DEL, "a", port(8080))
    assert "10.1.0.0/24" not in subnets(ports)
    assert ask("tcp", HOST4, 8081, ports.pods.netns["b"]).startswith("b ")


async def test_a_subnet_is_one_rule_until_its_last_pod_goes(ports: Ports) -> None:
    for number, pod in enumerate("ab"):
        await ports.add(pod, port(8080 + number))
    assert subnets(ports).count("10.1.0.0/24 . 10.1.0.0/24") == 1
    await ports.portmap(Verb.DEL, "a", port(8080))
    assert subnets(ports).count("10.1.0.0/24 . 10.1.0.0/24") == 1


async def test_check_makes_again_the_rule_of_a_subnet(ports: Ports) -> None:
    await ports.add("a", port(8080))
    ports.pods.host.run("nft", "flush", "chain", "inet", TABLE, "subnets4")
    await ports.portmap(Verb.CHECK, "a", port(8080))
    assert ask("tcp", HOST4, 8080, ports.pods.netns["a"]).startswith("a ")


@pytest.mark.parametrize("length", [24, 16, 32])
async def test_a_table_as_it_was_takes_another_pod(ports: Ports, length: int) -> None:
    nft, config = open_nft(), PortmapConfig()
    table = portmap_table(config)
    OwnedTable(as_it_was(table), nft, STATE).put(OLD, elements(config, forward("10.1.0.5", 24, 8080)))
    OwnedTable(table, nft, STATE).put(NEW, elements(config, forward("10.1.0.6", length, 8081)))
    listed = subnets(ports)
    assert "10.1.0.0/24 . 10.1.0.0/24" in listed
    assert {24: "10.1.0.0/24 . ", 16: "10.1.0.0/16 . ", 32: "10.1.0.6 . "}[length] in listed


async def test_what_a_pod_has_in_a_table_as_it_was_goes_with_it(ports: Ports) -> None:
    nft, config = open_nft(), PortmapConfig()
    former = OwnedTable(as_it_was(portmap_table(config)), nft, STATE)
    for owner, pod, host_port in ((OLD, "10.1.0.5", 8080), (NEW, "10.1.0.6", 8081)):
        former.put(owner, elements(config, forward(pod, 24, host_port)))
    ports.pods.netns["old"] = ports.pods.host.add_netns("old")
    await ports.pods.call(Verb.DEL, "old", {"cniVersion": "1.1.0", "name": "net", "type": "portmap"})
    assert [holding.owner for holding in former.holdings()] == [NEW]
    assert former.in_force(NEW)
