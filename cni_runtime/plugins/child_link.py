"""What vlan, macvlan and ipvlan have in common: the pod's interface is the child of another link, the master."""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from functools import partial
from ipaddress import ip_interface

from msgspec import Struct, structs

from cni_runtime import faults
from cni_runtime.call import PluginCall
from cni_runtime.errors import CniError, ConfigError, ErrorCode
from cni_runtime.net import links
from cni_runtime.net import plan as plans
from cni_runtime.net.children import AddChild, Child, RenameLink, mode_of, vlan_of
from cni_runtime.net.inspect import Link, find_link, get_link, list_routes, read_netns
from cni_runtime.net.plan import Plan, Where
from cni_runtime.net.sockets import NetlinkSocket, in_namespace, opened, run_in_own_thread
from cni_runtime.net.wait import wait_addresses_settled
from cni_runtime.plugins.base import (
    Context,
    Plugin,
    dns_or,
    netns_of,
    nothing_done_yet,
    pod_interface,
    require_previous,
    where_of,
)
from cni_runtime.plugins.delegate import IpamConfig, ipam_addresses, ipam_call, ipam_of
from cni_runtime.plugins.pod_link import check_pod_link, pod_link_plan
from cni_runtime.plugins.veth import attach
from cni_runtime.result import DNS, Interface, Result


class Wanted(Struct, frozen=True, kw_only=True):
    """What a configuration asks for. An empty ``child.parent`` is the link of the default route.

    ``parent_in_pod``: the master is in the pod, not on the host. ``addresses`` are known without an IPAM plugin if
    not None, and may be none at all. ``sysctls`` are set if the kernel has them. ``bounded``: the child's MTU cannot
    be larger than the master's.
    """

    child: Child
    ipam: IpamConfig
    parent_in_pod: bool = False
    addresses: Result | None = None
    sysctls: tuple[tuple[str, str], ...] = ()
    bounded: bool = True


class ChildLinkPlugin(Plugin):
    """A plugin whose links are children: of the kind that has the plugin's name."""

    @abstractmethod
    def wanted(self, call: PluginCall, context: Context) -> Wanted:
        """The validated configuration. Raises ConfigError."""

    async def add(self, call: PluginCall, context: Context) -> Result:
        with nothing_done_yet():
            wanted = self.wanted(call, context)
            if wanted.addresses is None and not wanted.ipam.type:
                raise ConfigError(f"{where_of(call)}: expected an IPAM plugin in `$.ipam.type`")
        if wanted.addresses is not None:
            return await self._attach(call, context, wanted, wanted.addresses)
        async with ipam_addresses(call, context, wanted.ipam) as given:
            return await self._attach(call, context, wanted, given)

    async def _attach(self, call: PluginCall, context: Context, wanted: Wanted, given: Result) -> Result:
        undo = partial(_delete, call, self.type)
        return await attach(call, context, partial(_add, call, wanted, given), undo)

    async def delete(self, call: PluginCall, context: Context) -> None:
        await run_in_own_thread(partial(_delete, call, self.type))
        faults.reach(f"{self.type}.DEL.ipam")
        await ipam_call(call, context, ipam_of(call))

    async def check(self, call: PluginCall, context: Context) -> None:
        wanted = self.wanted(call, context)
        await ipam_call(call, context, wanted.ipam)
        await run_in_own_thread(partial(_check, call, wanted, require_previous(call)))

    async def gc(self, call: PluginCall, context: Context) -> None:
        await ipam_call(call, context, ipam_of(call))

    async def status(self, call: PluginCall, context: Context) -> None:
        wanted = self.wanted(call, context)
        if wanted.child.parent and not wanted.parent_in_pod:
            await run_in_own_thread(partial(_find_parent, wanted))
        await ipam_call(call, context, wanted.ipam)


def child_plan(wanted: Wanted, parent: Link, ifname: str, temporary: str, result: Result) -> Plan:
    """Effects of an ADD; ``temporary`` is the child's name until it is in the pod. Raises ConfigError. Pure."""
    child = structs.replace(wanted.child, parent=parent.name)
    if wanted.bounded and child.mtu > parent.mtu:
        raise ConfigError(f"mtu {child.mtu} is larger than that of the master {parent.name}, {parent.mtu}")
    return (
        AddChild(Where.POD if wanted.parent_in_pod else Where.HOST, temporary, child),
        RenameLink(temporary, ifname),
        *pod_link_plan(ifname, result.ips, result.routes, dad=True, sysctls=wanted.sysctls),
    )


def temporary_name(call: PluginCall) -> str:
    """The child's name until it has its own: one by which DEL finds what a killed ADD has left. Pure."""
    attachment = f"{call.container_id}\0{call.ifname}"
    return f"cni{hashlib.sha256(attachment.encode()).hexdigest()[:10]}"


def _add(call: PluginCall, wanted: Wanted, given: Result) -> Result:
    result = structs.replace(given, ips=tuple(structs.replace(ip, interface=0) for ip in given.ips))
    with opened(netns_of(call)) as pod:
        parent = _find_parent(wanted, pod)
        plan = child_plan(wanted, parent, call.ifname, temporary_name(call), result)
        with plans.applied(plan, pod=pod, label=f"{call.type}.ADD"):
            if any(ip.family == 6 and ip.gateway for ip in result.ips):
                wait_addresses_settled(pod, call.ifname)
            mac = in_namespace(pod, partial(_mac, call.ifname))
    interface = Interface(name=call.ifname, mac=mac, sandbox=netns_of(call))
    return structs.replace(result, interfaces=(interface,), dns=dns_or(call, DNS()))


def _find_parent(wanted: Wanted, pod: int | None = None) -> Link:
    return in_namespace(pod if wanted.parent_in_pod else None, partial(_parent, wanted.child.parent))


def _parent(name: str) -> Link:
    with NetlinkSocket() as netlink:
        if name:
            link = find_link(netlink, name)
            missing = f"the master {name} is not there"
        else:
            link = _default_route_link(netlink)
            missing = "there is no master in the configuration, and no default route whose link could be it"
    if link is None:
        raise CniError(missing, code=ErrorCode.PLUGIN_NOT_AVAILABLE)
    return link


def _default_route_link(netlink: NetlinkSocket) -> Link | None:
    for route in list_routes(netlink):
        if ip_interface(route.destination).network.prefixlen == 0 and route.link is not None:
            return get_link(netlink, route.link)
    return None


def _mac(name: str) -> str:
    with NetlinkSocket() as netlink:
        link = find_link(netlink, name)
        return link.mac if link else ""


def _delete(call: PluginCall, kind: str) -> None:
    faults.reach(f"{call.type}.DEL.link")
    if not call.netns:
        return
    try:
        with opened(call.netns) as pod:
            in_namespace(pod, partial(_delete_in_pod, (call.ifname, temporary_name(call)), kind))
    except FileNotFoundError:
        return


def _delete_in_pod(names: tuple[str, ...], kind: str) -> None:
    with NetlinkSocket() as netlink:
        for name in names:
            link = find_link(netlink, name)
            if link is not None and link.kind == kind:
                netlink.ask(links.delete_link(link.index))


def _check(call: PluginCall, wanted: Wanted, result: Result) -> None:
    netns = netns_of(call)
    if wanted.child.parent:
        with opened(netns) as pod:
            _find_parent(wanted, pod)
    view = read_netns(netns, table=0)
    compare(call, wanted.child, result, view.link(call.ifname))
    check_pod_link(view, call.ifname, result)


def compare(call: PluginCall, child: Child, result: Result, link: Link | None) -> None:
    """Raises CniError that says what is other than ADD left it. Pure."""
    name, netns, expected = call.ifname, netns_of(call), pod_interface(call, result)
    if link is None or link.kind != child.kind:
        raise CniError(f"there is no {child.kind} {name} in {netns}")
    # As the reference plugins do; a tuning that comes after in the chain may have set another MTU.
    mtu = child.mtu if child.kind == "vlan" else 0
    found = {
        "MAC": (link.mac, expected.mac or link.mac),
        "MTU": (link.mtu, mtu or link.mtu),
        "mode": (mode_of(link), child.mode),
        "VLAN": (vlan_of(link), child.vlan if child.kind == "vlan" else None),
    }
    for what, (has, wants) in found.items():
        if has != wants:
            raise CniError(f"interface {name} has {what} {has}, expected {wants}")
