"""host-device on a real kernel, and with the reference executable. The device is one end of a veth pair."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from cni_runtime.errors import PluginError
from cni_runtime.testing.host import Host
from tests.netns.plugins.chains import Chain, either_way, needs_reference
from tests.netns.plugins.differential import unmeant

pytestmark = pytest.mark.anyio

MAC = "02:00:00:00:00:d0"
ADDRESSES = [{"address": "10.1.0.5/24", "gateway": "10.1.0.1"}]
IPAM = {"type": "static", "addresses": ADDRESSES, "routes": [{"dst": "0.0.0.0/0"}]}
DEVICE: dict[str, Any] = {"type": "host-device", "device": "d0", "ipam": IPAM}


@pytest.fixture
def host(host_netns: Host) -> Host:
    """A host whose device ``d0`` leads to a neighbour, 10.1.0.1."""
    neighbour = host_netns.add_netns("neighbour")
    host_netns.run("ip", "link", "add", "d0", "address", MAC, "type", "veth", "peer", "name", "up1")
    host_netns.run("ip", "link", "set", "up1", "netns", "neighbour")
    host_netns.run("ip", "link", "set", "d0", "up")
    host_netns.run("ip", "link", "set", "up1", "up", netns=neighbour)
    host_netns.run("ip", "addr", "add", "10.1.0.1/24", "dev", "up1", netns=neighbour)
    return host_netns


def device(host: Host, name: str = "d0") -> tuple[str, str, bool]:
    """MAC, alias and whether it is up, of a device on the host."""
    (link,) = host.ip("link", "show", name)
    return link["address"], link.get("ifalias", ""), "UP" in link["flags"]


@pytest.mark.parametrize("selector", [{"device": "d0"}, {"device": "", "hwaddr": MAC.upper()}])
async def test_into_the_pod_and_back(host: Host, selector: dict[str, str]) -> None:
    chain = Chain(host, DEVICE | selector)
    added = await chain.add()
    assert added["interfaces"] == [{"name": "eth0", "mac": MAC, "sandbox": str(chain.netns)}]
    assert host.can_reach("10.1.0.1", netns=chain.netns)
    assert ("d0" in host.links(), chain.inside()["ifalias"]) == (False, "d0")
    await chain.check()
    await chain.delete()
    await chain.delete()
    assert device(host) == (MAC, "", False)
    assert host.links(netns=chain.netns) == set()


async def test_a_device_without_addresses(host: Host) -> None:
    chain = Chain(host, {"type": "host-device", "device": "d0"})
    assert "ips" not in await chain.add()
    assert chain.inside()["operstate"] == "UP"


async def test_names_that_both_sides_have(host: Host) -> None:
    """The pod has a d0 of its own, the host an eth0."""
    chain = Chain(host, DEVICE)
    host.run("ip", "link", "add", "d0", "type", "bridge", netns=chain.netns)
    host.run("ip", "link", "add", "eth0", "type", "bridge")
    await chain.add()
    assert host.can_reach("10.1.0.1", netns=chain.netns)
    await chain.delete()
    assert device(host) == (MAC, "", False)
    assert (host.links(netns=chain.netns), "eth0" in host.links()) == ({"d0"}, True)


async def test_an_interface_that_the_pod_has_already(host: Host) -> None:
    chain = Chain(host, DEVICE)
    host.run("ip", "link", "add", "eth0", "type", "bridge", netns=chain.netns)
    with pytest.raises(PluginError, match="there is an interface eth0 in the pod already"):
        await chain.add()
    await chain.delete()
    assert device(host) == (MAC, "", True)
    assert host.links(netns=chain.netns) == {"eth0"}


async def test_a_failure_gives_the_device_back_as_it_was(host: Host) -> None:
    host.run("ip", "link", "set", "d0", "alias", "uplink")
    routes = [{"dst": "0.0.0.0/0", "gw": "10.9.0.1"}]  # which cannot be reached
    chain = Chain(host, {**DEVICE, "ipam": {**IPAM, "routes": routes}})
    with pytest.raises(PluginError, match="add route"):
        await chain.add()
    assert device(host) == (MAC, "uplink", True)


async def test_an_add_that_is_cancelled_gives_the_device_back(host: Host) -> None:
    addresses = [*ADDRESSES, {"address": "fd00:1::5/64", "gateway": "fd00:1::1"}]  # detection of duplicates takes long
    chain = Chain(host, {**DEVICE, "ipam": {**IPAM, "addresses": addresses}})
    adding = asyncio.create_task(chain.add())
    await asyncio.wait([adding], timeout=0.2)
    adding.cancel()
    with pytest.raises(asyncio.CancelledError):
        await adding
    assert device(host)[:2] == (MAC, "")


async def test_a_name_that_is_taken_on_the_host(host: Host) -> None:
    chain = Chain(host, DEVICE)
    await chain.add()
    host.run("ip", "link", "add", "d0", "type", "bridge")
    with pytest.raises(PluginError, match="eth0 cannot go back to the host, which has another d0"):
        await chain.delete()
    host.run("ip", "link", "del", "d0")
    await chain.delete()
    assert device(host)[0] == MAC


async def test_a_device_that_is_not_there(host: Host) -> None:
    with pytest.raises(PluginError, match="no device d9 on the host"):
        await Chain(host, DEVICE | {"device": "d9"}).add()


async def test_a_device_that_the_kernel_put_back_under_the_pods_name(host: Host) -> None:
    """As it does with devices of the hardware, when the pod's namespace goes."""
    chain = Chain(host, DEVICE)
    chain.drop_netns()
    host.run("ip", "link", "set", "d0", "down")
    host.run("ip", "link", "set", "d0", "name", "eth0")
    host.run("ip", "link", "set", "eth0", "alias", "d0")
    await chain.delete()
    await chain.delete()
    assert device(host) == (MAC, "", False)


async def test_check_finds_what_has_changed(host: Host) -> None:
    chain = Chain(host, DEVICE)
    await chain.add()
    host.run("ip", "link", "set", "eth0", "address", "02:00:00:00:00:d1", netns=chain.netns)
    with pytest.raises(PluginError, match="has MAC 02:00:00:00:00:d1, expected 02:00:00:00:00:d0"):
        await chain.check()
    await chain.delete()
    with pytest.raises(PluginError, match="there is no eth0"):
        await chain.check()


@needs_reference
@either_way
async def test_across(host: Host, adder: str, deleter: str) -> None:
    chain = Chain(host, DEVICE)
    await chain.add(adder)
    assert host.can_reach("10.1.0.1", netns=chain.netns)
    await chain.check(deleter)
    await chain.delete(deleter)
    assert device(host) == (MAC, "", False)


@needs_reference
def test_same_state_as_the_reference() -> None:
    ipam = {**IPAM, "addresses": [{"address": "192.0.2.5/24", "gateway": "192.0.2.1"}]}
    assert unmeant([{"cniVersion": "1.0.0", "name": "net", **DEVICE, "device": "up0", "ipam": ipam}], pods=1) == []
