"""vlan, macvlan, ipvlan."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import structs

from cni_runtime.call import PluginCall, Verb
from cni_runtime.errors import CniError, ConfigError
from cni_runtime.net.children import MACVLAN_MODES, AddChild, Child, RenameLink
from cni_runtime.net.effects import Configure
from cni_runtime.net.inspect import Link
from cni_runtime.net.plan import Where
from cni_runtime.plugins.base import Context
from cni_runtime.plugins.child_link import Wanted, child_plan, compare, temporary_name
from cni_runtime.plugins.delegate import IpamConfig
from cni_runtime.plugins.ipvlan import Ipvlan
from cni_runtime.plugins.macvlan import Macvlan
from cni_runtime.plugins.vlan import Vlan
from cni_runtime.result import Interface, IPConfig, Result, encode_result
from tests.unit.cni_runtime.plugins.conftest import MakeCall

IPAM = {"ipam": {"type": "static"}}
PARENT = Link("up0", 3, mtu=1500)
VLAN = Child("vlan", "up0", vlan=5)


@pytest.mark.parametrize(
    ("options", "child"),
    [
        ({"master": "up0"}, Child("vlan", "up0")),
        ({"master": "up0", "vlanId": 4094, "mtu": 1400}, Child("vlan", "up0", mtu=1400, vlan=4094)),
    ],
)
def test_vlan_options(call: MakeCall, context: Context, options: dict[str, Any], child: Child) -> None:
    assert Vlan().wanted(call("vlan", **options, **IPAM), context).child == child


@pytest.mark.parametrize("options", [{}, {"master": "up0", "vlanId": 4095}, {"master": "up0", "mtu": -1}])
def test_bad_vlan_options(call: MakeCall, context: Context, options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        Vlan().wanted(call("vlan", **options), context)


def test_macvlan_options(call: MakeCall, context: Context) -> None:
    options = {"master": "up0", "mode": "vepa", "mtu": 1400, "bcqueuelen": 9, "linkInContainer": True}
    wanted = Macvlan().wanted(call("macvlan", **options, **IPAM), context)
    assert wanted.child == Child("macvlan", "up0", mtu=1400, mode="vepa", broadcast_queue=9)
    assert (wanted.parent_in_pod, wanted.addresses, wanted.ipam.type) == (True, None, "static")
    assert ("net/ipv4/conf/eth0/arp_notify", "1") in wanted.sysctls


def test_macvlan_without_ipam_is_a_layer_2_link(call: MakeCall, context: Context) -> None:
    wanted = Macvlan().wanted(call("macvlan"), context)
    assert (wanted.addresses, wanted.sysctls, wanted.child.mode) == (Result(), (), "bridge")


@pytest.mark.parametrize(
    ("more", "mac"),
    [
        ({"mac": "02:00:00:00:00:01"}, "02:00:00:00:00:01"),
        ({"mac": "02:00:00:00:00:01", "cni_args": {"MAC": "02:00:00:00:00:02"}}, "02:00:00:00:00:02"),
        ({"cni_args": {"MAC": "x"}, "runtimeConfig": {"mac": "02:00:00:00:00:03"}}, "02:00:00:00:00:03"),
        ({"mac": "nonsense", "verb": Verb.DEL}, ""),
    ],
)
def test_whose_mac_wins(call: MakeCall, context: Context, more: dict[str, Any], mac: str) -> None:
    assert Macvlan().wanted(call("macvlan", **more), context).child.mac == mac


@pytest.mark.parametrize("mode", ["", *MACVLAN_MODES])
def test_macvlan_modes(call: MakeCall, context: Context, mode: str) -> None:
    assert Macvlan().wanted(call("macvlan", mode=mode), context).child.mode == (mode or "bridge")


@pytest.mark.parametrize(("mode", "expected"), [("", "l2"), ("l2", "l2"), ("l3", "l3"), ("l3s", "l3s")])
def test_ipvlan_modes(call: MakeCall, context: Context, mode: str, expected: str) -> None:
    wanted = Ipvlan().wanted(call("ipvlan", mode=mode, master="up0", **IPAM), context)
    assert (wanted.child.mode, wanted.bounded) == (expected, False)


@pytest.mark.parametrize(("plugin", "mode"), [(Macvlan(), "l2"), (Ipvlan(), "bridge")])
def test_unknown_modes(call: MakeCall, context: Context, plugin: Macvlan | Ipvlan, mode: str) -> None:
    with pytest.raises(ConfigError, match="mode"):
        plugin.wanted(call(plugin.type, mode=mode), context)


def test_ipvlan_takes_master_and_addresses_of_the_plugin_before(call: MakeCall, context: Context) -> None:
    previous = Result(interfaces=(Interface(name="br7"),), ips=(IPConfig(address="10.1.0.5/24"),))
    wanted = Ipvlan().wanted(call("ipvlan", prevResult=encode_result(previous, "1.1.0")), context)
    assert (wanted.child.parent, wanted.addresses) == ("br7", previous)
    with_ipam = Ipvlan().wanted(call("ipvlan", prevResult=encode_result(previous, "1.1.0"), **IPAM), context)
    assert (with_ipam.child.parent, with_ipam.addresses) == ("br7", None)


def test_ipvlan_after_a_plugin_with_two_interfaces(call: MakeCall, context: Context) -> None:
    previous = encode_result(Result(interfaces=(Interface(name="a"), Interface(name="b"))), "1.1.0")
    with pytest.raises(ConfigError, match="expected one interface in prevResult"):
        Ipvlan().wanted(call("ipvlan", prevResult=previous), context)
    assert Ipvlan().wanted(call("ipvlan", prevResult=previous, verb=Verb.DEL), context).child.parent == ""


@pytest.mark.parametrize(("in_pod", "where"), [(False, Where.HOST), (True, Where.POD)])
def test_plan(in_pod: bool, where: Where) -> None:
    wanted = Wanted(child=Child("vlan", "", vlan=5), ipam=IpamConfig(), parent_in_pod=in_pod)
    result = Result(ips=(IPConfig(address="10.1.0.5/24"),))
    assert child_plan(wanted, PARENT, "eth0", "veth1", result) == (
        AddChild(where, "veth1", VLAN),
        RenameLink("veth1", "eth0"),
        Configure(Where.POD, "eth0", ("10.1.0.5/24",), nodad=False),
    )


def test_each_attachment_has_its_temporary_name() -> None:
    """The same for ADD and DEL, short enough for the kernel."""
    pairs = [("c" * 64, "eth0"), ("c" * 64, "net1"), ("d", "eth0")]
    names = {
        temporary_name(PluginCall(verb=verb, type="vlan", config={}, container_id=container, ifname=ifname))
        for container, ifname in pairs
        for verb in (Verb.ADD, Verb.DEL)
    }
    assert len(names) == len(pairs)
    assert all(len(name) <= 15 for name in names)


def test_an_mtu_that_the_master_does_not_have() -> None:
    wanted = Wanted(child=structs.replace(VLAN, mtu=1501), ipam=IpamConfig())
    with pytest.raises(ConfigError, match="mtu 1501 is larger than that of the master up0, 1500"):
        child_plan(wanted, PARENT, "eth0", "veth1", Result())
    assert child_plan(structs.replace(wanted, bounded=False), PARENT, "eth0", "veth1", Result())


@pytest.mark.parametrize(
    ("link", "problem"),
    [
        (Link("eth0", 2, kind="vlan", mac="aa", mtu=1400, details=b"\x06\0\1\0\5\0"), ""),
        (None, "there is no vlan eth0 in /ns"),
        (Link("eth0", 2, kind="veth", mac="aa"), "there is no vlan eth0 in /ns"),
        (Link("eth0", 2, kind="vlan", mac="bb", mtu=1400, details=b"\x06\0\1\0\5\0"), "MAC bb, expected aa"),
        (Link("eth0", 2, kind="vlan", mac="aa", mtu=1500, details=b"\x06\0\1\0\5\0"), "MTU 1500, expected 1400"),
        (Link("eth0", 2, kind="vlan", mac="aa", mtu=1400, details=b"\x06\0\1\0\6\0"), "VLAN 6, expected 5"),
    ],
)
def test_compare(call: MakeCall, link: Link | None, problem: str) -> None:
    asked = structs.replace(call("vlan"), netns="/ns")
    result = Result(interfaces=(Interface(name="eth0", mac="aa", sandbox="/ns"),))
    if not problem:
        compare(asked, structs.replace(VLAN, mtu=1400), result, link)
        return
    with pytest.raises(CniError, match=problem):
        compare(asked, structs.replace(VLAN, mtu=1400), result, link)


def test_compare_leaves_an_mtu_to_tuning(call: MakeCall) -> None:
    link = Link("eth0", 2, kind="macvlan", mac="aa", mtu=1300, details=b"\x08\0\1\0\4\0\0\0")
    result = Result(interfaces=(Interface(name="eth0", mac="aa", sandbox="/ns"),))
    child = Child("macvlan", "up0", mtu=1400, mode="bridge")
    compare(structs.replace(call("macvlan"), netns="/ns"), child, result, link)


def test_compare_with_a_result_for_another_namespace(call: MakeCall) -> None:
    with pytest.raises(ConfigError, match="prevResult does not have the interface eth0 in /ns"):
        compare(structs.replace(call("vlan"), netns="/ns"), VLAN, Result(), None)
