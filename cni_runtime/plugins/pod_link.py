"""The pod's side of an interface: effects that give it addresses and routes, and checks that it has them. Pure.

Source: what the reference plugins do with an IPAM result; section "Result types" of the CNI specification.
"""

from __future__ import annotations

from collections.abc import Iterable

from cni_runtime.errors import CniError
from cni_runtime.ip import ip_interface
from cni_runtime.net.effects import Configure, SetSysctls
from cni_runtime.net.inspect import NetnsView
from cni_runtime.net.inspect import Route as KernelRoute
from cni_runtime.net.plan import Effect, Plan, Where
from cni_runtime.net.routes import MAIN_TABLE, RouteSpec
from cni_runtime.result import IPConfig, Result, Route


def pod_link_plan(
    ifname: str,
    ips: Iterable[IPConfig],
    routes: Iterable[Route],
    *,
    dad: bool = False,
    sysctls: tuple[tuple[str, str], ...] = (),
) -> Plan:
    """Effects that configure the link ``ifname`` in the pod and bring it up.

    ``sysctls`` are set first, as far as the kernel has them. Without ``dad`` IPv6 addresses are usable at once.
    """
    ips = tuple(ips)
    plan: list[Effect] = []
    if sysctls:
        plan.append(SetSysctls(Where.POD, sysctls))
    if any(ip.family == 6 for ip in ips):
        plan.append(SetSysctls(Where.POD, _ipv6_sysctls(ifname), required=True))
    addresses = tuple(ip.address for ip in ips)
    plan.append(Configure(Where.POD, ifname, addresses, routes=route_specs(ips, routes), nodad=not dad))
    return tuple(plan)


def route_specs(ips: Iterable[IPConfig], routes: Iterable[Route]) -> tuple[RouteSpec, ...]:
    """Routes for the kernel; one without a gateway goes through the first gateway of its family, if there is one."""
    gateways: dict[int, str] = {}
    for ip in ips:
        if ip.gateway:
            gateways.setdefault(ip.family, ip.gateway)
    specs = (_route_spec(route, gateways.get(route.family, "")) for route in routes)
    return tuple(dict.fromkeys(specs))


def notify_sysctls(ifname: str) -> tuple[tuple[str, str], ...]:
    """Sysctls that make a link tell its neighbours of a new address or MAC."""
    return (f"net/ipv4/conf/{ifname}/arp_notify", "1"), (f"net/ipv6/conf/{ifname}/ndisc_notify", "1")


def forwarding_sysctls(addresses: Iterable[str]) -> tuple[tuple[str, str], ...]:
    """Sysctls that let the host forward packets of the addresses' families."""
    keys = {4: "net/ipv4/ip_forward", 6: "net/ipv6/conf/all/forwarding"}
    return tuple((keys[family], "1") for family in sorted({ip_interface(address).version for address in addresses}))


def check_pod_link(view: NetnsView, ifname: str, result: Result) -> None:
    """Raises CniError unless the pod has the addresses and routes of ``result``; ``view`` has those of all tables."""
    link = view.link(ifname)
    if link is None:
        raise CniError(f"interface {ifname} is not in {view.path}")
    addresses = {address.address for address in view.addresses_of(link)}
    destinations = {route.destination for route in view.routes}
    for ip in result.ips:
        if ip.address not in addresses:
            raise CniError(f"address {ip.address} is not on {ifname}, which has {', '.join(sorted(addresses))}")
        subnet = ip_interface(ip.address).network
        # The kernel takes these routes away when the link is set down. In any table: sbr moves them.
        if subnet.prefixlen < subnet.max_prefixlen and str(subnet) not in destinations:
            raise CniError(f"there is no route to {subnet} in {view.path}")
    for expected in result.routes:
        if not any(_is_as(route, expected) for route in view.routes):
            through = f"via {expected.gw} " if expected.gw else ""
            raise CniError(f"route {ip_interface(expected.dst).network} {through}is not in {view.path}")


def _is_as(route: KernelRoute, expected: Route) -> bool:
    """Whether the kernel's route is the expected one; without a table said, it may be in any, since sbr moves it."""
    same_table = expected.table is None or route.table == expected.table
    same_gateway = not expected.gw or route.gateway == expected.gw
    return same_table and same_gateway and route.destination == str(ip_interface(expected.dst).network)


def _ipv6_sysctls(ifname: str) -> tuple[tuple[str, str], ...]:
    return (
        ("net/ipv6/conf/lo/disable_ipv6", "0"),
        (f"net/ipv6/conf/{ifname}/disable_ipv6", "0"),
        (f"net/ipv6/conf/{ifname}/keep_addr_on_down", "1"),
    )


def _route_spec(route: Route, gateway: str) -> RouteSpec:
    return RouteSpec(
        destination=str(ip_interface(route.dst).network),
        gateway=route.gw or gateway,
        table=MAIN_TABLE if route.table is None else route.table,
        priority=route.priority,
        scope=route.scope or 0,
        mtu=route.mtu,
        advmss=route.advmss,
    )
