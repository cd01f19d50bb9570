"""ptp: a veth pair from the pod to the host, with a route to each other instead of a bridge.

The pod's subnet is reached through the gateway, which is the host's end; the gateway itself is on the link.

Source: the options of the reference plugin 1.9.
"""

from __future__ import annotations

from functools import partial
from typing import Annotated, ClassVar

from msgspec import Meta, Struct, structs

from cni_runtime import faults
from cni_runtime.call import PluginCall
from cni_runtime.errors import CniError, ConfigError
from cni_runtime.ip import ip_interface
from cni_runtime.net import plan as plans
from cni_runtime.net.effects import AddVeth, Configure, SetSysctls
from cni_runtime.net.inspect import read_netns
from cni_runtime.net.links import random_mac, random_veth_name
from cni_runtime.net.nft import OwnedTable
from cni_runtime.net.plan import Plan, Where
from cni_runtime.net.routes import SCOPE_HOST, SCOPE_LINK, SCOPE_NOWHERE, RouteSpec
from cni_runtime.net.sockets import NetlinkSocket, opened, run_in_own_thread
from cni_runtime.net.wait import wait_link_up
from cni_runtime.plugins.base import (
    Context,
    Plugin,
    decode,
    dns_or,
    netns_of,
    nothing_done_yet,
    pod_interface,
    require_previous,
    where_of,
)
from cni_runtime.plugins.delegate import IpamConfig, ipam_addresses, ipam_call, ipam_of
from cni_runtime.plugins.masquerade import (
    backend_problem,
    collect_masquerade,
    end_masquerade,
    masquerade,
    remove_later,
    repair_masquerade,
)
from cni_runtime.plugins.pod_link import check_pod_link, forwarding_sysctls, pod_link_plan, route_specs
from cni_runtime.plugins.veth import attach, detach
from cni_runtime.result import Interface, IPConfig, Result

_POD_INDEX = 1


class PtpConfig(Struct, frozen=True, rename="camel"):
    """The options. MTU in bytes, 0: the kernel's choice."""

    ip_masq: bool = False
    ip_masq_backend: str = ""
    mtu: Annotated[int, Meta(ge=0, le=65535)] = 0
    ipam: IpamConfig = IpamConfig()


class Pair(Struct, frozen=True):
    """What is drawn at random for one ADD: the host's end of the pair and MACs."""

    veth: str
    veth_mac: str
    pod_mac: str


class Ptp(Plugin):
    """See the module."""

    type: ClassVar[str] = "ptp"

    async def add(self, call: PluginCall, context: Context) -> Result:
        with nothing_done_yet():
            config = ptp_config(call, context)
        async with ipam_addresses(call, context, config.ipam) as given:
            if not all(ip.gateway for ip in given.ips):
                raise ConfigError(f"{where_of(call)}: the IPAM plugin gave an address without a gateway")
            ips = tuple(structs.replace(ip, interface=_POD_INDEX) for ip in given.ips)
            result = structs.replace(given, ips=ips, dns=dns_or(call, given.dns))
            return await attach(call, context, partial(_add, call, context, config, result))

    async def delete(self, call: PluginCall, context: Context) -> None:
        unused: list[OwnedTable] = []
        await detach(call, context, partial(_remove_rules, call, context, unused))
        remove_later(unused, context)
        faults.reach("ptp.DEL.ipam")
        await ipam_call(call, context, ipam_of(call))

    async def check(self, call: PluginCall, context: Context) -> None:
        await ipam_call(call, context, ptp_config(call, context).ipam)
        await run_in_own_thread(partial(_check, call, context, require_previous(call)))

    async def gc(self, call: PluginCall, context: Context) -> None:
        await run_in_own_thread(partial(collect_masquerade, call, context))
        await ipam_call(call, context, ipam_of(call))

    async def status(self, call: PluginCall, context: Context) -> None:
        await ipam_call(call, context, ptp_config(call, context).ipam)


def ptp_config(call: PluginCall, context: Context) -> PtpConfig:
    """The validated options of ``call``. Raises ConfigError."""
    config = decode(call, PtpConfig, context)
    if not config.ipam.type:
        raise ConfigError(f"{where_of(call)}: expected an IPAM plugin in `$.ipam.type`")
    if problem := backend_problem(config.ip_masq_backend):
        raise ConfigError(f"{where_of(call)}: {problem}")
    return config


def ptp_plan(config: PtpConfig, result: Result, pair: Pair, ifname: str) -> Plan:
    """Effects of an ADD, without the packet filter's. Pure."""
    # Addresses may share a gateway or a subnet: the first of them stands for it.
    by_gateway, by_subnet = dict[str, IPConfig](), dict[str, IPConfig]()
    for ip in result.ips:
        by_gateway.setdefault(ip.gateway, ip)
        if _has_subnet(ip):
            by_subnet.setdefault(_subnet(ip), ip)
    gateways = tuple(f"{ip.gateway}/{_bits(ip)}" for ip in by_gateway.values())
    to_pod = tuple(RouteSpec(f"{ip.ip}/{_bits(ip)}", scope=SCOPE_HOST) for ip in result.ips)
    through = tuple(RouteSpec(_subnet(ip), gateway=ip.gateway, source=ip.ip) for ip in by_subnet.values())
    on_link = tuple(RouteSpec(_subnet(ip), scope=SCOPE_NOWHERE) for ip in by_subnet.values())
    to_gateway = tuple(
        RouteSpec(f"{ip.gateway}/{_bits(ip)}", source=ip.ip, scope=SCOPE_LINK) for ip in by_gateway.values()
    )
    others = route_specs(result.ips, result.routes)
    return (
        AddVeth(pair.veth, ifname, pair.veth_mac, peer_mac=pair.pod_mac, mtu=config.mtu),
        SetSysctls(Where.HOST, ((f"net/ipv6/conf/{pair.veth}/accept_ra", "0"),)),
        SetSysctls(Where.HOST, forwarding_sysctls(ip.address for ip in result.ips), required=True),
        Configure(Where.HOST, pair.veth, gateways, routes=to_pod),
        *pod_link_plan(ifname, result.ips, ()),
        # A route needs its gateway on the link: the subnet's, which may be in no subnet, and others of the subnet.
        Configure(Where.POD, ifname, routes=(*to_gateway, *others)),
        Configure(Where.POD, ifname, remove_routes=on_link, routes=through),
    )


def _has_subnet(ip: IPConfig) -> bool:
    """Whether the kernel makes a route to the address's subnet: for a single one it does so with IPv6 only."""
    return ip.family == 6 or ip_interface(ip.address).network.prefixlen < 32


def _subnet(ip: IPConfig) -> str:
    return str(ip_interface(ip.address).network)


def _bits(ip: IPConfig) -> int:
    return 32 if ip.family == 4 else 128


def _add(call: PluginCall, context: Context, config: PtpConfig, result: Result) -> Result:
    pair = Pair(random_veth_name(), random_mac(), random_mac())
    plan = ptp_plan(config, result, pair, call.ifname)
    if config.ip_masq:
        plan = (*plan, *masquerade(call, context, (ip.address for ip in result.ips)))
    with opened(netns_of(call)) as pod, plans.applied(plan, pod=pod, label="ptp.ADD"), NetlinkSocket() as netlink:
        wait_link_up(netlink, pair.veth)
    interfaces = (
        Interface(name=pair.veth, mac=pair.veth_mac),
        Interface(name=call.ifname, mac=pair.pod_mac, sandbox=netns_of(call)),
    )
    return structs.replace(result, interfaces=interfaces)


def _remove_rules(call: PluginCall, context: Context, unused: list[OwnedTable]) -> None:
    faults.reach("ptp.DEL.rules")
    unused += end_masquerade(call, context)


def _check(call: PluginCall, context: Context, result: Result) -> None:
    netns = netns_of(call)
    view = read_netns(netns, table=0)
    link = view.link(call.ifname)
    expected = pod_interface(call, result)
    if link is None or link.kind != "veth":
        raise CniError(f"there is no veth {call.ifname} in {netns}")
    if expected.mac and expected.mac != link.mac:
        raise CniError(f"interface {call.ifname} has MAC {link.mac}, expected {expected.mac}")
    check_pod_link(view, call.ifname, result)
    repair_masquerade(call, context)
