"""sbr on a real kernel, and with the reference executable."""

from __future__ import annotations

from typing import Any

import pytest

from cni_runtime.call import Verb
from cni_runtime.errors import PluginError
from cni_runtime.testing.host import Host
from tests.netns.plugins.chains import BRIDGE, Chain, either_way, needs_reference
from tests.netns.plugins.differential import unmeant

pytestmark = pytest.mark.anyio

SBR = {"type": "sbr"}
SECOND = {**BRIDGE, "bridge": "br1", "ipam": {"type": "host-local", "dataDir": "/run/b", "subnet": "10.2.0.0/24"}}
V4, V6 = "10.1.0.2", "fd00:1::2"


def rules(chain: Chain) -> dict[str, str]:
    """Source address to table, of all rules that have one."""
    listed = [rule for family in ("-4", "-6") for rule in chain.host.ip(family, "rule", netns=chain.netns)]
    return {rule["src"]: rule["table"] for rule in listed if rule["src"] != "all"}


def routes(chain: Chain, table: str) -> dict[str, str]:
    """Destination to gateway in a table of the pod."""
    every = [
        route
        for family in ("-4", "-6")
        for route in chain.host.ip(family, "route", "show", "table", "all", netns=chain.netns)
    ]
    found = [route for route in every if route.get("table", "main") == table and not route["dst"].startswith("fe80")]
    return {str(route["dst"]): str(route.get("gateway", "")) for route in found}


def sent(chain: Chain) -> int:
    """Packets that the pod has sent through the interface."""
    (link,) = chain.host.ip("-statistics", "link", "show", chain.ifname, netns=chain.netns)
    return int(link["stats64"]["tx"]["packets"])


async def test_each_address_has_a_table_and_the_main_table_is_empty(host_netns: Host) -> None:
    chain = Chain(host_netns, BRIDGE, SBR)
    await chain.add()
    assert rules(chain) == {V4: "100", V6: "101"}
    assert routes(chain, "100") == {"default": "10.1.0.1", "10.1.0.0/24": "", "fd00:1::/64": ""}
    assert routes(chain, "101") == {"default": "fd00:1::1", "fd00:1::/64": ""}
    assert routes(chain, "main") == {}
    assert all(host_netns.can_reach(address) for address in (V4, V6))
    for plugin in chain.plugins:  # bridge finds its routes in the tables
        await chain.call(Verb.CHECK, plugin)


async def test_answers_leave_through_the_interface_that_was_asked(host_netns: Host) -> None:
    first = Chain(host_netns, BRIDGE)
    await first.add()
    second = Chain(host_netns, SECOND, SBR, ifname="eth1", netns=first.netns)
    await second.add()
    before = sent(first)
    host_netns.run("ping", "-c", "5", "-i", "0.1", "-I", "10.1.0.1", "10.2.0.2")
    assert sent(first) - before < 5  # without sbr the main table would send all of them this way
    assert sent(second) >= 5


async def test_tables_in_use_are_left_alone(host_netns: Host) -> None:
    chain = Chain(host_netns, BRIDGE, SBR)
    host_netns.run("ip", "rule", "add", "from", "192.0.2.1", "table", "100", netns=chain.netns)
    host_netns.run("ip", "link", "set", "lo", "up", netns=chain.netns)
    host_netns.run("ip", "route", "add", "192.0.2.0/24", "dev", "lo", "table", "101", netns=chain.netns)
    await chain.add()
    assert rules(chain) == {"192.0.2.1": "100", V4: "102", V6: "103"}


async def test_a_table_of_somebody_else(host_netns: Host) -> None:
    chain = Chain(host_netns, BRIDGE, {"type": "sbr", "table": 4000})
    await chain.add()
    assert rules(chain) == {V4: "4000", V6: "4000"}
    assert "default" in routes(chain, "main")
    host_netns.run("ip", "rule", "add", "from", V4, "table", "7", netns=chain.netns)
    await chain.delete(only_last=True)
    assert rules(chain) == {V4: "7"}


async def test_a_failure_leaves_all_as_it_was(host_netns: Host) -> None:
    chain = Chain(host_netns, BRIDGE, SBR)
    plugin = chain.plugins.pop()
    await chain.add()
    before = (routes(chain, "main"), rules(chain))
    chain.result["ips"][1]["gateway"] = "fd00:9::1"  # which cannot be reached: adding that default route fails
    with pytest.raises(PluginError, match="add route"):
        await chain.call(Verb.ADD, plugin)
    assert (routes(chain, "main"), rules(chain)) == before
    assert routes(chain, "100") == {}


async def test_check_and_del_again_and_without_a_namespace(host_netns: Host) -> None:
    chain = Chain(host_netns, BRIDGE, SBR)
    await chain.add()
    await chain.delete(only_last=True)
    assert rules(chain) == {}
    with pytest.raises(PluginError, match=f"no rule for packets from {V4}"):
        await chain.check()
    await chain.delete()
    chain.drop_netns()
    await chain.delete()


@needs_reference
@either_way
@pytest.mark.parametrize("options", [{}, {"table": 300}])
async def test_across(host_netns: Host, adder: str, deleter: str, options: dict[str, Any]) -> None:
    chain = Chain(host_netns, BRIDGE, {**SBR, **options})
    await chain.add(last=adder)
    assert set(rules(chain)) == {V4, V6}
    await chain.check(deleter)
    await chain.delete(deleter, only_last=True)
    assert rules(chain) == {}


@needs_reference
def test_same_state_as_the_reference() -> None:
    common = {"cniVersion": "1.0.0", "name": "net"}
    ipam = {**BRIDGE["ipam"], "routes": [{"dst": "192.0.2.0/24", "gw": "10.1.0.9", "priority": 7}]}
    assert unmeant([{**common, **BRIDGE, "ipam": ipam}, {**common, **SBR}]) == []
