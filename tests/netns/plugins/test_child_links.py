"""vlan, macvlan and ipvlan: for real where the kernel has the kind, and the error where it has not."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from cni_runtime.call import Verb
from cni_runtime.errors import PluginError
from cni_runtime.testing.host import Host
from tests.lab.node import eventually
from tests.netns.plugins.chains import BRIDGE, Chain, either_way, needs_reference
from tests.netns.plugins.differential import unmeant

pytestmark = pytest.mark.anyio

ADDRESSES = [{"address": "10.1.0.5/24", "gateway": "10.1.0.1"}, {"address": "fd00:1::5/64"}]
STATIC = {"type": "static", "addresses": ADDRESSES, "routes": [{"dst": "0.0.0.0/0"}]}
# With an IPv6 gateway, ADD waits for duplicate address detection.
SLOW = {**STATIC, "addresses": [ADDRESSES[0], {**ADDRESSES[1], "gateway": "fd00:1::1"}]}
OPTIONS: dict[str, dict[str, Any]] = {
    "vlan": {"type": "vlan", "master": "up0", "vlanId": 5, "mtu": 1400, "ipam": STATIC},
    "macvlan": {"type": "macvlan", "master": "up0", "mode": "bridge", "mtu": 1400, "ipam": STATIC},
    "ipvlan": {"type": "ipvlan", "master": "up0", "mode": "l2", "mtu": 1400, "ipam": STATIC},
}
MODULES = {"vlan": "8021q", "macvlan": "macvlan", "ipvlan": "ipvlan"}
FREE_MODES = ("private", "vepa", "passthru")


@pytest.fixture
def host(host_netns: Host) -> Host:
    """A host whose link ``up0`` leads to a neighbour, 10.1.0.1 and fd00:1::1, which is in VLAN 5 too."""
    neighbour = host_netns.add_netns("neighbour")
    host_netns.run("ip", "link", "add", "up0", "type", "veth", "peer", "name", "up1", "netns", "neighbour")
    host_netns.run("ip", "link", "set", "up0", "up")
    host_netns.run("ip", "link", "set", "up1", "up", netns=neighbour)
    if has(host_netns, "vlan"):
        host_netns.run("ip", "link", "add", "up1.5", "link", "up1", "type", "vlan", "id", "5", netns=neighbour)
        host_netns.run("ip", "link", "set", "up1.5", "up", netns=neighbour)
    host_netns.run("ip", "addr", "add", "10.1.0.1/24", "dev", "up1", netns=neighbour)
    host_netns.run("ip", "addr", "add", "fd00:1::1/64", "dev", "up1", "nodad", netns=neighbour)
    return host_netns


def has(host: Host, kind: str) -> bool:
    """Whether the kernel can make links of the kind."""
    more = {"vlan": ("id", "9"), "macvlan": (), "ipvlan": ()}[kind]
    host.run("ip", "link", "add", "probe0", "type", "veth", "peer", "name", "probe1", check=False)
    host.run("ip", "link", "add", "probe2", "link", "probe0", "type", kind, *more, check=False)
    found = "probe2" in host.links()
    host.run("ip", "link", "del", "probe0", check=False)
    return found


def require(host: Host, kind: str) -> None:
    if not has(host, kind):
        pytest.skip(f"this kernel has no links of type {kind}")


@pytest.mark.parametrize("kind", OPTIONS)
async def test_a_kernel_without_the_kind_says_what_to_load(host: Host, kind: str) -> None:
    if has(host, kind):
        pytest.skip(f"this kernel has links of type {kind}")
    chain = Chain(host, OPTIONS[kind])
    with pytest.raises(PluginError, match=f"no links of type {kind}, .* module {MODULES[kind]} .*modprobe"):
        await chain.add()
    assert host.links(netns=chain.netns) == set()
    await chain.delete()


@pytest.mark.parametrize("kind", ["macvlan", "ipvlan"])
async def test_the_pod_reaches_the_neighbour(host: Host, kind: str) -> None:
    require(host, kind)
    chain = Chain(host, {**OPTIONS[kind], "ipam": SLOW})
    added = await chain.add()
    assert host.can_reach("10.1.0.1", netns=chain.netns)
    assert host.can_reach("fd00:1::1", netns=chain.netns)
    inside = chain.inside()
    assert (inside["linkinfo"]["info_kind"], inside["mtu"]) == (kind, 1400)
    assert added["interfaces"] == [{"name": "eth0", "mac": inside["address"], "sandbox": str(chain.netns)}]
    await chain.check()
    await chain.delete()
    await chain.delete()
    assert host.links(netns=chain.netns) == set()


async def test_an_add_that_is_cancelled_leaves_nothing(host: Host) -> None:
    require(host, "macvlan")
    chain = Chain(host, {**OPTIONS["macvlan"], "ipam": SLOW})
    adding = asyncio.create_task(chain.add())
    await asyncio.wait([adding], timeout=0.2)
    adding.cancel()
    with pytest.raises(asyncio.CancelledError):
        await adding
    assert host.links(netns=chain.netns) == set()


async def test_vlan_tags(host: Host) -> None:
    require(host, "vlan")
    chain = Chain(host, OPTIONS["vlan"])
    await chain.add()
    assert chain.inside()["linkinfo"]["info_data"]["id"] == 5
    assert not host.can_reach("10.1.0.1", netns=chain.netns)
    neighbour = Path("/run/netns/neighbour")
    host.run("ip", "addr", "flush", "dev", "up1", netns=neighbour)  # or answers would go there
    host.run("ip", "addr", "add", "10.1.0.9/24", "dev", "up1.5", netns=neighbour)
    assert host.can_reach("10.1.0.9", netns=chain.netns)


@pytest.mark.parametrize("mode", FREE_MODES)
async def test_macvlan_modes(host: Host, mode: str) -> None:
    require(host, "macvlan")
    chain = Chain(host, {**OPTIONS["macvlan"], "mode": mode, "bcqueuelen": 500})
    await chain.add()
    data = chain.inside()["linkinfo"]["info_data"]
    assert (data["mode"], data["bcqueuelen"]) == (mode, 500)
    await chain.check()


async def test_macvlan_with_a_mac_and_without_addresses(host: Host) -> None:
    require(host, "macvlan")
    chain = Chain(host, {"type": "macvlan", "master": "up0", "runtimeConfig": {"mac": "02:00:00:00:00:07"}})
    added = await chain.add()
    assert chain.inside()["address"] == "02:00:00:00:00:07"
    assert eventually(lambda: chain.inside()["operstate"] == "UP")  # which the kernel says a little later
    assert "ips" not in added


async def test_the_master_is_the_link_of_the_default_route(host: Host) -> None:
    require(host, "macvlan")
    chain = Chain(host, {"type": "macvlan"})
    with pytest.raises(PluginError, match="no master in the configuration, and no default route"):
        await chain.add()
    host.run("ip", "addr", "add", "10.1.0.3/24", "dev", "up0")
    host.run("ip", "route", "add", "default", "via", "10.1.0.1")
    await chain.add()
    assert "eth0" in host.links(netns=chain.netns)


async def test_a_master_in_the_pod(host: Host) -> None:
    require(host, "macvlan")
    chain = Chain(host, {**OPTIONS["macvlan"], "linkInContainer": True})
    host.run("ip", "link", "set", "up0", "netns", "pod")
    host.run("ip", "link", "set", "up0", "up", netns=chain.netns)
    await chain.add()
    assert host.can_reach("10.1.0.1", netns=chain.netns)


async def test_a_name_that_the_host_has_too(host: Host) -> None:
    require(host, "macvlan")
    host.run("ip", "link", "add", "eth0", "type", "bridge")
    chain = Chain(host, OPTIONS["macvlan"])
    await chain.add()
    assert "eth0" in host.links(netns=chain.netns)


async def test_a_name_that_the_pod_has_already(host: Host) -> None:
    require(host, "macvlan")
    chain = Chain(host, OPTIONS["macvlan"])
    host.run("ip", "link", "add", "eth0", "type", "bridge", netns=chain.netns)
    with pytest.raises(PluginError, match="name the new link eth0: File exists"):
        await chain.add()
    await chain.delete()
    assert host.links(netns=chain.netns) == {"eth0"}  # the one that was there


async def test_a_name_that_a_bridge_has_just_left(host: Host) -> None:
    """DEL of bridge cuts its pair off at once and deletes it a little later."""
    require(host, "macvlan")
    bridge = Chain(host, BRIDGE)
    await bridge.add()
    await bridge.delete()
    chain = Chain(host, OPTIONS["macvlan"], netns=bridge.netns)
    chain.builtin = bridge.builtin
    await chain.add()
    assert chain.inside()["linkinfo"]["info_kind"] == "macvlan"


@pytest.mark.parametrize("kind", OPTIONS)
async def test_a_master_that_is_not_there(host: Host, kind: str) -> None:
    chain = Chain(host, {**OPTIONS[kind], "master": "up7"}, version="1.1.0")
    for verb in (Verb.ADD, Verb.STATUS):
        with pytest.raises(PluginError, match="the master up7 is not there"):
            await chain.call(verb, chain.plugins[0])
    await chain.delete()


async def test_an_mtu_larger_than_the_masters(host: Host) -> None:
    with pytest.raises(PluginError, match="mtu 1600 is larger than that of the master up0, 1500"):
        await Chain(host, {**OPTIONS["macvlan"], "mtu": 1600}).add()


async def test_check_finds_what_has_changed(host: Host) -> None:
    require(host, "macvlan")
    chain = Chain(host, OPTIONS["macvlan"])
    await chain.add()
    host.run("ip", "addr", "del", "10.1.0.5/24", "dev", "eth0", netns=chain.netns)
    with pytest.raises(PluginError, match=r"address 10\.1\.0\.5/24 is not on eth0"):
        await chain.check()
    host.run("ip", "link", "del", "eth0", netns=chain.netns)
    with pytest.raises(PluginError, match="there is no macvlan eth0"):
        await chain.check()


@needs_reference
@either_way
@pytest.mark.parametrize("kind", OPTIONS)
async def test_across(host: Host, kind: str, adder: str, deleter: str) -> None:
    require(host, kind)
    chain = Chain(host, OPTIONS[kind])
    await chain.add(adder)
    await chain.check(deleter)
    await chain.delete(deleter)
    assert host.links(netns=chain.netns) == set()


@needs_reference
@pytest.mark.parametrize("kind", OPTIONS)
def test_same_state_as_the_reference(host_netns: Host, kind: str) -> None:
    require(host_netns, kind)
    common = {"cniVersion": "1.0.0", "name": "net"}
    ipam = {**STATIC, "addresses": [{"address": "192.0.2.5/24", "gateway": "192.0.2.1"}, ADDRESSES[1]]}
    assert unmeant([{**common, **OPTIONS[kind], "ipam": ipam}], pods=1) == []
