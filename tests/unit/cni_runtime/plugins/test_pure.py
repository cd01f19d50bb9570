"""Plans and names of the small plugins."""

from __future__ import annotations

import pytest
from msgspec import structs

from cni_runtime.errors import CniError
from cni_runtime.net.effects import AddVeth, Configure, SetSysctls
from cni_runtime.net.inspect import Address, Link, NetnsView, Route
from cni_runtime.net.nft import Element, Owner
from cni_runtime.net.plan import Where
from cni_runtime.net.routes import RouteSpec
from cni_runtime.plugins.loopback import loopback_result
from cni_runtime.plugins.masquerade import (
    masquerade_elements,
    masquerade_table,
    reference_chain,
    reference_comment,
)
from cni_runtime.plugins.pod_link import check_pod_link, pod_link_plan, route_specs
from cni_runtime.plugins.ptp import Pair, PtpConfig, ptp_plan
from cni_runtime.result import Interface, IPConfig, Result
from cni_runtime.result import Route as ResultRoute

V4 = IPConfig(address="10.1.0.5/24", gateway="10.1.0.1")
V6 = IPConfig(address="fd00::5/64", gateway="fd00::1")


def test_loopback_gives_the_first_address_of_each_family() -> None:
    result = loopback_result("/ns", ("127.0.0.1/8", "127.0.0.2/8", "::1/128"))
    assert [ip.address for ip in result.ips] == ["127.0.0.1/8", "::1/128"]
    assert result.interfaces == (Interface(name="lo", mac="00:00:00:00:00:00", sandbox="/ns"),)


def test_a_route_without_gateway_goes_through_the_first_of_its_family() -> None:
    ips = (V4, IPConfig(address="10.2.0.5/24", gateway="10.2.0.1"))
    routes = (ResultRoute(dst="0.0.0.0/0"), ResultRoute(dst="192.0.2.7/24", gw="10.1.0.9"), ResultRoute(dst="::/0"))
    assert route_specs(ips, (*routes, routes[0])) == (
        RouteSpec("0.0.0.0/0", "10.1.0.1"),
        RouteSpec("192.0.2.0/24", "10.1.0.9"),
        RouteSpec("::/0"),
    )


def test_ipv6_is_turned_on_only_where_it_is_used() -> None:
    assert not any(isinstance(effect, SetSysctls) for effect in pod_link_plan("eth0", (V4,), ()))
    sysctls = pod_link_plan("eth0", (V4, V6), ())[0]
    assert isinstance(sysctls, SetSysctls)
    assert ("net/ipv6/conf/eth0/disable_ipv6", "0") in sysctls.values


def test_ptp_routes_everything_through_the_gateway() -> None:
    plan = ptp_plan(PtpConfig(mtu=1400), Result(ips=(V4,)), Pair("veth0", "aa", "bb"), "eth0")
    assert plan[0] == AddVeth("veth0", "eth0", "aa", peer_mac="bb", mtu=1400)
    assert plan[3] == Configure(Where.HOST, "veth0", ("10.1.0.1/32",), routes=(RouteSpec("10.1.0.5/32", scope=254),))
    to_gateway, through_it = plan[-2:]
    assert isinstance(to_gateway, Configure)
    assert to_gateway.routes == (RouteSpec("10.1.0.1/32", source="10.1.0.5", scope=253),)
    assert isinstance(through_it, Configure)
    assert [route.destination for route in through_it.remove_routes] == ["10.1.0.0/24"]
    assert [(route.destination, route.gateway) for route in through_it.routes] == [("10.1.0.0/24", "10.1.0.1")]


def test_ptp_keeps_the_order_of_addresses() -> None:
    """The first one at the host's end is the source of what the host sends to the pod."""
    shared = IPConfig(address="10.1.0.6/24", gateway="10.1.0.1")
    others = (IPConfig(address="10.2.0.5/24", gateway="10.2.0.1"), V6, shared)
    host_end = ptp_plan(PtpConfig(), Result(ips=(V4, *others)), Pair("veth0", "aa", "bb"), "eth0")[3]
    assert isinstance(host_end, Configure)
    assert host_end.addresses == ("10.1.0.1/32", "10.2.0.1/32", "fd00::1/128")


def test_pods_of_the_same_subnets_share_a_table_for_masquerading() -> None:
    addresses = ["10.1.0.5/24", "fd00::5/64"]
    table = masquerade_table(addresses)
    assert table.name == "cni_runtime_masquerade_10.1.0.0-24_fd00..-64"
    assert "ip saddr @pods0 ip daddr != 10.1.0.0/24 ip daddr != 224.0.0.0/4 masquerade" in table.body
    assert masquerade_table(["10.1.0.6/24", "fd00::6/64"]) == table != masquerade_table(["10.1.1.5/24", "fd00::5/64"])
    assert masquerade_elements(addresses) == (Element("pods0", "10.1.0.5"), Element("pods1", "fd00::5"))


def test_addresses_without_a_subnet_share_a_table() -> None:
    assert masquerade_table(["10.1.0.5/32"]) == masquerade_table(["10.2.0.6/32"]) != masquerade_table(["fd00::5/128"])


def test_the_names_that_the_reference_plugins_would_use() -> None:
    owner = Owner("test", "1234", "eth0")
    assert reference_chain(owner) == "CNI-2bbe0c48b91a7d1b8a6753a8"
    network, _, instance = reference_comment(owner).partition("-")
    assert (len(network), len(instance)) == (16, 16)


def view(*routes: Route) -> NetnsView:
    subnet = Route("10.1.0.0/24", link=2)
    return NetnsView(
        "/ns", 1, (Link("eth0", 2),), (Address(2, "10.1.0.5/24"), Address(2, "10.3.0.5/32")), (subnet, *routes)
    )


def test_a_pod_that_is_as_it_should_be() -> None:
    result = Result(ips=(V4,), routes=(ResultRoute(dst="0.0.0.0/0"), ResultRoute(dst="10.9.0.0/16", gw="10.1.0.9")))
    routes = (Route("0.0.0.0/0", "10.1.0.1"), Route("10.9.0.0/16", "10.1.0.9"))
    check_pod_link(view(*routes), "eth0", result)
    with pytest.raises(CniError, match=r"route 10\.9\.0\.0/16 via 10\.1\.0\.9"):
        check_pod_link(view(routes[0], Route("10.9.0.0/16", "10.1.0.8")), "eth0", result)
    with pytest.raises(CniError, match=r"route 0\.0\.0\.0/0 is not in /ns"):
        check_pod_link(view(routes[1]), "eth0", result)


def test_routes_that_sbr_has_moved() -> None:
    default, stated = ResultRoute(dst="0.0.0.0/0", gw="10.1.0.1"), ResultRoute(dst="10.9.0.0/16", table=254)
    check_pod_link(view(Route("0.0.0.0/0", "10.1.0.1", table=100)), "eth0", Result(routes=(default,)))
    with pytest.raises(CniError, match=r"route 10\.9\.0\.0/16 is not in"):
        check_pod_link(view(Route("10.9.0.0/16", table=100)), "eth0", Result(routes=(stated,)))


def test_a_pod_without_the_route_to_its_subnet() -> None:
    there = view()
    check_pod_link(there, "eth0", Result(ips=(V4, IPConfig(address="10.3.0.5/32"))))
    moved = structs.replace(there, routes=(Route("10.1.0.0/24", link=2, table=100),))
    check_pod_link(moved, "eth0", Result(ips=(V4,)))
    with pytest.raises(CniError, match=r"there is no route to 10\.1\.0\.0/24 in /ns"):
        check_pod_link(structs.replace(there, routes=()), "eth0", Result(ips=(V4,)))


def test_a_pod_without_its_interface_or_address() -> None:
    with pytest.raises(CniError, match="interface net1 is not in /ns"):
        check_pod_link(view(), "net1", Result())
    with pytest.raises(CniError, match=r"address fd00::5/64 is not on eth0, which has 10\.1\.0\.5/24, 10\.3\.0\.5/32"):
        check_pod_link(view(), "eth0", Result(ips=(V6,)))
