"""tuning on a real kernel, and with the reference executable."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cni_runtime.call import Verb
from cni_runtime.errors import PluginError
from cni_runtime.testing.host import Host
from tests.netns.plugins.chains import BRIDGE, Chain, either_way, needs_reference
from tests.netns.plugins.differential import unmeant

pytestmark = pytest.mark.anyio

MAC = "02:00:00:00:00:99"
ALL = {
    "type": "tuning",
    "sysctl": {"net.ipv4.conf.IFNAME.arp_filter": "1", "net.ipv4.tcp_rmem": "4096\t131072\t6291455"},
    "mac": MAC,
    "mtu": 1300,
    "promisc": True,
    "allmulti": True,
    "txQLen": 77,
}
SAVED = Path("/run/cni/tuning/c_eth0.json")
ALLOWLIST = Path("/etc/cni/tuning/allowlist.conf")
SETTINGS = ("address", "mtu", "txqlen", "promiscuity", "allmulti")
TUNED = (MAC, 1300, 77, 1, 1)


def settings(chain: Chain) -> tuple[Any, ...]:
    return tuple(chain.inside()[name] for name in SETTINGS)


def saved() -> str:
    """What is kept for DEL; empty: nothing."""
    return SAVED.read_text() if SAVED.exists() else ""


def allow(line: str) -> None:
    ALLOWLIST.parent.mkdir(parents=True)
    ALLOWLIST.write_text(f"{line}\n")


def sysctl(chain: Chain, key: str) -> str:
    return chain.host.run("sysctl", "-n", key, netns=chain.netns).strip()


async def test_what_is_tuned_and_restored(host_netns: Host) -> None:
    chain = Chain(host_netns, BRIDGE, ALL)
    added = await chain.add()
    assert settings(chain) == TUNED
    assert [one["mac"] for one in added["interfaces"] if one["name"] == "eth0"] == [MAC]
    assert sysctl(chain, "net.ipv4.conf.eth0.arp_filter") == "1"
    assert host_netns.can_reach("10.1.0.1", netns=chain.netns)
    before = json.loads(saved())
    await chain.delete(only_last=True)
    assert settings(chain) == (before["mac"], 1500, 1000, 0, 0)
    assert saved() == ""


async def test_the_host_is_not_tuned(host_netns: Host) -> None:
    everywhere = {"type": "tuning", "sysctl": {"net.ipv4.conf.all.arp_filter": "1"}}
    chain = Chain(host_netns, BRIDGE, everywhere)
    await chain.add()
    assert sysctl(chain, "net.ipv4.conf.all.arp_filter") == "1"
    assert host_netns.run("sysctl", "-n", "net.ipv4.conf.all.arp_filter").strip() == "0"


async def test_a_sysctl_that_can_only_be_written(host_netns: Host) -> None:
    await Chain(host_netns, BRIDGE, {"type": "tuning", "sysctl": {"net.ipv4.route.flush": "1"}}).add()


async def test_a_failure_leaves_all_as_it_was(host_netns: Host) -> None:
    chain = Chain(host_netns, BRIDGE, {**ALL, "mtu": 20})
    with pytest.raises(PluginError, match="change link"):
        await chain.add()
    assert settings(chain)[1:] == (1500, 1000, 0, 0)
    assert (sysctl(chain, "net.ipv4.conf.eth0.arp_filter"), saved()) == ("0", "")


@pytest.mark.parametrize(
    ("sysctls", "problem"),
    [
        ({"net.ipv4.nothing": "1"}, "no sysctl net/ipv4/nothing"),
        ({"net.ipv4.conf.IFNAME.arp_filter": "many"}, "Invalid argument"),
        ({"kernel.pid_max": "1000"}, "not one of the network"),
    ],
)
async def test_bad_sysctls(host_netns: Host, sysctls: dict[str, str], problem: str) -> None:
    with pytest.raises(PluginError, match=problem):
        await Chain(host_netns, BRIDGE, {"type": "tuning", "sysctl": sysctls}).add()


async def test_del_after_an_add_that_was_refused(host_netns: Host) -> None:
    chain = Chain(host_netns, BRIDGE, {**ALL, "runtimeConfig": {"mac": "nonsense"}})
    with pytest.raises(PluginError, match="expected a MAC address"):
        await chain.add()
    await chain.delete()


async def test_the_allow_list(host_netns: Host) -> None:
    allow(r"^net\.ipv4\.conf\.IFNAME\.[a-z_]*$")
    chain = Chain(host_netns, BRIDGE, ALL)
    with pytest.raises(PluginError, match=r"'net\.ipv4\.tcp_rmem' is not allowed"):
        await chain.add()
    with pytest.raises(PluginError, match="is not allowed"):
        await chain.call(Verb.STATUS, ALL | {"cniVersion": "1.1.0", "name": "net"})


async def test_check_finds_what_has_changed(host_netns: Host) -> None:
    chain = Chain(host_netns, BRIDGE, ALL)
    await chain.add()
    await chain.check()
    host_netns.run("ip", "link", "set", "eth0", "mtu", "1400", netns=chain.netns)
    with pytest.raises(PluginError, match="has mtu 1400, expected 1300"):
        await chain.check()
    host_netns.run("sysctl", "-qw", "net.ipv4.conf.eth0.arp_filter=0", netns=chain.netns)
    with pytest.raises(PluginError, match="arp_filter is '0', expected '1'"):
        await chain.check()


async def test_del_without_a_namespace_forgets(host_netns: Host) -> None:
    chain = Chain(host_netns, BRIDGE, ALL)
    await chain.add()
    chain.drop_netns()
    await chain.delete()
    await chain.delete()
    assert saved() == ""


@needs_reference
@either_way
async def test_across(host_netns: Host, adder: str, deleter: str) -> None:
    chain = Chain(host_netns, BRIDGE, ALL)
    await chain.add(last=adder)
    assert settings(chain) == TUNED
    await chain.check(deleter)
    await chain.delete(deleter, only_last=True)
    assert settings(chain)[1:] == (1500, 1000, 0, 0)
    assert saved() == ""


@needs_reference
async def test_the_file_is_the_references(host_netns: Host) -> None:
    chain = Chain(host_netns, BRIDGE, ALL)
    await chain.add()
    ours = saved()
    await chain.delete(only_last=True)
    await chain.call(Verb.ADD, chain.plugins[-1], "reference")
    assert saved() == ours


@needs_reference
def test_same_state_as_the_reference() -> None:
    common = {"cniVersion": "1.0.0", "name": "net"}
    tuning = {**common, **ALL, "args": {"cni": {"mtu": 1280}}, "runtimeConfig": {"mac": MAC}}
    assert unmeant([{**common, **BRIDGE}, tuning], pods=1) == []


async def test_check_of_the_plugin_before_leaves_the_mtu_alone(host_netns: Host) -> None:
    chain = Chain(host_netns, {**BRIDGE, "mtu": 1400}, {"type": "tuning", "mtu": 1300})
    await chain.add()
    for plugin in chain.plugins:
        await chain.call(Verb.CHECK, plugin)
    assert chain.inside()["mtu"] == 1300
