from __future__ import annotations

from typing import Any

import pytest

from cni_runtime.errors import CniError
from cni_runtime.net.effects import AddBridge, AddVeth, ChangeLink, Configure, ConfigurePort, SetSysctls
from cni_runtime.net.inspect import Address, Link
from cni_runtime.net.plan import Plan, Where
from cni_runtime.plugins.bridge.config import BridgeConfig, VlanTrunk
from cni_runtime.plugins.bridge.plan import (
    AddressTakenError,
    Names,
    Seen,
    bridge_plan,
    gateway_addresses,
    gateway_plan,
    pod_plan,
    port_plan,
    vlan_gateway_plan,
    with_gateways,
)
from cni_runtime.plugins.bridge.spoofcheck import spoof_check_removal, spoof_check_rules
from cni_runtime.plugins.delegate import IpamConfig
from cni_runtime.result import IPConfig, Result, Route

NAMES = Names("veth0", "m0", "m1", "m2", "veth1", "m3", "m4")
BRIDGE = Link("cni0", 5, "aa:bb", kind="bridge", admin_up=True, default_vlan=1)
DUAL = Result(ips=(IPConfig(address="10.1.0.5/24"), IPConfig(address="fd00::5/64", gateway="fd00::9")))


def names_of(plan: Plan) -> list[str]:
    return [effect.name for effect in plan]


def test_a_bridge_is_made_with_its_mac_pinned() -> None:
    plan = bridge_plan(BridgeConfig(mtu=1400), Seen(), NAMES)
    assert plan[0] == AddBridge("cni0", "m2", mtu=1400)


def test_a_bridge_that_is_there_does_not_listen_to_router_advertisements_of_pods() -> None:
    sysctls = SetSysctls(Where.HOST, (("net/ipv6/conf/cni0/accept_ra", "0"),))
    assert bridge_plan(BridgeConfig(), Seen(BRIDGE), NAMES) == (sysctls,)


@pytest.mark.parametrize(
    ("config", "link", "change"),
    [
        (BridgeConfig(), Link("cni0", 5, kind="bridge"), ChangeLink(Where.HOST, "cni0", up=True)),
        (BridgeConfig(promisc_mode=True), BRIDGE, ChangeLink(Where.HOST, "cni0", promiscuous=True)),
        (BridgeConfig(vlan=7), BRIDGE, ChangeLink(Where.HOST, "cni0", vlan_filtering=True)),
    ],
)
def test_a_bridge_is_brought_into_shape(config: BridgeConfig, link: Link, change: ChangeLink) -> None:
    assert bridge_plan(config, Seen(link), NAMES)[0] == change


def test_another_link_of_that_name() -> None:
    with pytest.raises(CniError, match="cni0 is there already, but is not a bridge"):
        bridge_plan(BridgeConfig(), Seen(Link("cni0", 5, kind="veth")), NAMES)


def test_a_plain_port() -> None:
    plan = port_plan(BridgeConfig(mtu=1400), Seen(BRIDGE), NAMES, "eth0")
    assert plan[0] == AddVeth("veth0", "eth0", "m0", peer_mac="m1", mtu=1400, master="cni0")
    assert names_of(plan) == ["add_veth", "set_sysctls"]


@pytest.mark.parametrize(
    ("config", "port"),
    [
        (BridgeConfig(hairpin_mode=True), ConfigurePort("veth0", hairpin=True)),
        (BridgeConfig(port_isolation=True), ConfigurePort("veth0", isolated=True)),
        (BridgeConfig(vlan=7), ConfigurePort("veth0", drop_vlan=1, native_vlan=7)),
        (BridgeConfig(vlan=7, preserve_default_vlan=True), ConfigurePort("veth0", native_vlan=7)),
        (
            BridgeConfig(vlan_trunk=(VlanTrunk(id=9),)),
            ConfigurePort("veth0", drop_vlan=1, native_vlan=1, vlans=(9,)),
        ),
        (
            BridgeConfig(vlan=7, vlan_trunk=(VlanTrunk(min_id=8, max_id=9),)),
            ConfigurePort("veth0", drop_vlan=1, native_vlan=7, vlans=(8, 9)),
        ),
    ],
)
def test_ports(config: BridgeConfig, port: ConfigurePort) -> None:
    assert port_plan(config, Seen(BRIDGE), NAMES, "eth0")[-1] == port


def test_gateways_are_worked_out_and_routes_added_once_for_a_family() -> None:
    config = BridgeConfig(is_default_gateway=True)
    two = Result(ips=(*DUAL.ips, IPConfig(address="10.2.0.5/24")))
    result = with_gateways(config, two)
    assert [ip.gateway for ip in result.ips] == ["10.1.0.1", "fd00::9", "10.2.0.1"]
    assert [(route.dst, route.gw) for route in result.routes] == [("0.0.0.0/0", "10.1.0.1"), ("::/0", "fd00::9")]
    assert gateway_addresses(config, result) == ("10.1.0.1/24", "fd00::9/64", "10.2.0.1/24")


def test_a_default_route_that_ipam_gives_is_kept() -> None:
    own = Route(dst="0.0.0.0/0", gw="10.1.0.7")
    result = with_gateways(BridgeConfig(is_default_gateway=True), Result(ips=DUAL.ips[:1], routes=(own,)))
    assert result.routes == (own,)


def test_without_a_gateway_nothing_is_worked_out() -> None:
    result = with_gateways(BridgeConfig(), DUAL)
    assert (result.ips[0].gateway, gateway_addresses(BridgeConfig(), result)) == ("", ())


def test_a_new_bridge_gets_addresses_and_forwarding() -> None:
    address, forwarding = gateway_plan("cni0", Seen(), ("10.1.0.1/24", "fd00::1/64"), force=False)
    assert address == Configure(Where.HOST, "cni0", ("10.1.0.1/24", "fd00::1/64"), shared=True)
    assert isinstance(forwarding, SetSysctls)
    assert [key for key, _ in forwarding.values] == ["net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding"]


def seen(*addresses: str, live: bool = True) -> Seen:
    ports = (Link("veth9", 9),) if live else ()
    return Seen(BRIDGE, tuple(Address(5, address) for address in addresses), ports)


@pytest.mark.parametrize("has", ["10.1.0.1/24", "fe80::1/64", "10.1.0.1/24 fd00::1/64", "fd00:2::1/64 10.1.0.1/24"])
def test_addresses_that_may_stay(has: str) -> None:
    plan = gateway_plan("cni0", seen(*has.split()), ("10.1.0.1/24",), force=False)
    assert [effect for effect in plan if isinstance(effect, Configure) and effect.remove_addresses] == []


@pytest.mark.parametrize(
    ("has", "wanted"),
    [("10.2.0.1/24", "10.1.0.1/24"), ("10.1.0.1/16", "10.1.0.1/24"), ("fd00::2/48", "fd00::1/64")],
)
def test_addresses_in_the_way(has: str, wanted: str) -> None:
    with pytest.raises(AddressTakenError, match="and pods use it") as caught:
        gateway_plan("cni0", seen(has), (wanted,), force=False)
    assert caught.value.ports == (Link("veth9", 9),)
    for plan in (
        gateway_plan("cni0", seen(has), (wanted,), force=True),
        gateway_plan("cni0", seen(has, live=False), (wanted,), force=False),
    ):
        assert Configure(Where.HOST, "cni0", (wanted,), remove_addresses=(has,), shared=True) in plan


def test_inside_the_pod() -> None:
    ipam = BridgeConfig(ipam=IpamConfig("host-local"))
    assert pod_plan(BridgeConfig(), "eth0", Result()) == (Configure(Where.POD, "eth0"),)
    assert pod_plan(BridgeConfig(disable_container_interface=True), "eth0", Result()) == ()
    assert names_of(pod_plan(ipam, "eth0", DUAL)) == ["set_sysctls", "set_sysctls", "configure"]


def test_the_gateway_of_a_vlan_is_a_port_of_the_bridge() -> None:
    config = BridgeConfig(vlan=7, is_gateway=True)
    plan = vlan_gateway_plan(config, Seen(BRIDGE), Seen(), NAMES)
    assert plan[1:] == (
        ConfigurePort("veth1", drop_vlan=1, native_vlan=7),
        ChangeLink(Where.HOST, "cni0.7", up=True),
    )


def test_the_gateway_of_a_vlan_that_is_there_is_brought_into_shape() -> None:
    config, up = BridgeConfig(vlan=7, is_gateway=True), ChangeLink(Where.HOST, "cni0.7", up=True)
    there = Seen(Link("cni0.7", 8), port="veth9")
    plan = vlan_gateway_plan(config, Seen(BRIDGE), there, NAMES)
    assert plan == (ConfigurePort("veth9", drop_vlan=1, native_vlan=7), up)
    assert vlan_gateway_plan(config, Seen(BRIDGE), Seen(Link("cni0.7", 8)), NAMES) == (up,)


def test_the_gateway_of_the_default_vlan_keeps_it_all_the_time() -> None:
    config = BridgeConfig(vlan=1, is_gateway=True)
    plan = vlan_gateway_plan(config, Seen(BRIDGE), Seen(Link("cni0.1", 8), port="veth9"), NAMES)
    assert plan[0] == ConfigurePort("veth9", native_vlan=1)


def test_spoof_check_rules_and_their_removal() -> None:
    rules = spoof_check_rules("c", "eth0", "veth0", "aa:bb")
    assert 'iifname "veth0" jump cni-br-iface-c-eth0 comment "macspoofchk-c-eth0"' in rules
    listed: list[dict[str, Any]] = [
        {"chain": {"name": "cni-br-iface-c-eth0"}},
        {"chain": {"name": "cni-br-iface-d-eth0"}},
        {"rule": {"chain": "PREROUTING", "handle": 3, "comment": "macspoofchk-c-eth0"}},
        {"rule": {"chain": "PREROUTING", "handle": 4, "comment": "macspoofchk-d-eth0"}},
        {"rule": {"chain": "cni-br-iface-c-eth0", "handle": 5, "comment": "macspoofchk-c-eth0"}},
    ]
    removal = spoof_check_removal(listed, "c", "eth0").splitlines()
    assert removal == [
        "delete rule bridge nat PREROUTING handle 3",
        "flush chain bridge nat cni-br-iface-c-eth0",
        "delete chain bridge nat cni-br-iface-c-eth0",
    ]
    assert spoof_check_removal(listed, "x", "eth0") == ""
