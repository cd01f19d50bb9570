"""The verbs of bridge: delegate to IPAM, look, plan, apply. The kernel's part of a verb is one call in one thread."""

from __future__ import annotations

import logging
from functools import partial
from typing import ClassVar

from msgspec import structs

from cni_runtime import faults
from cni_runtime.cache import ResultCache
from cni_runtime.call import PluginCall
from cni_runtime.errors import CniError
from cni_runtime.net import plan as plans
from cni_runtime.net.ifreq import link_mac
from cni_runtime.net.inspect import (
    Link,
    find_link,
    get_link,
    list_addresses,
    list_links,
    read_host_links,
    read_netns,
)
from cni_runtime.net.links import random_mac, random_veth_name
from cni_runtime.net.nft import OwnedTable
from cni_runtime.net.plan import Plan
from cni_runtime.net.sockets import NetlinkSocket, opened, run_in_own_thread
from cni_runtime.net.wait import wait_addresses_settled, wait_link_up
from cni_runtime.plugins.base import (
    Context,
    Plugin,
    decode_some,
    dns_or,
    netns_of,
    network_of,
    nothing_done_yet,
    require_previous,
)
from cni_runtime.plugins.bridge.check import check_attachment, mtu_repair
from cni_runtime.plugins.bridge.config import BridgeConfig, SpoofCheck, bridge_config, requested_mac
from cni_runtime.plugins.bridge.plan import (
    AddressTakenError,
    Names,
    Seen,
    bridge_plan,
    bridge_result,
    gateway_addresses,
    gateway_plan,
    in_the_way,
    pod_plan,
    port_plan,
    vlan_gateway_plan,
    with_gateways,
)
from cni_runtime.plugins.bridge.spoofcheck import AddSpoofCheck, remove_spoof_check
from cni_runtime.plugins.delegate import ipam_addresses, ipam_call, ipam_of
from cni_runtime.plugins.masquerade import (
    collect_masquerade,
    end_masquerade,
    masquerade,
    remove_later,
    repair_masquerade,
)
from cni_runtime.plugins.veth import attach, detach
from cni_runtime.result import Result

log = logging.getLogger(__name__)


class Bridge(Plugin):
    """See the package."""

    type: ClassVar[str] = "bridge"

    async def add(self, call: PluginCall, context: Context) -> Result:
        with nothing_done_yet():
            config, mac = bridge_config(call, context), requested_mac(call)
        if not config.ipam.type:
            result = Result(dns=dns_or(call, Result().dns))
            return await attach(call, context, partial(_add, call, context, config, mac, result))
        async with ipam_addresses(call, context, config.ipam) as given:
            result = with_gateways(config, structs.replace(given, dns=dns_or(call, given.dns)))
            return await attach(call, context, partial(_add, call, context, config, mac, result))

    async def delete(self, call: PluginCall, context: Context) -> None:
        unused: list[OwnedTable] = []
        await detach(call, context, partial(_remove_rules, call, context, unused))
        remove_later(unused, context)
        faults.reach("bridge.DEL.ipam")
        await ipam_call(call, context, ipam_of(call))

    async def check(self, call: PluginCall, context: Context) -> None:
        config = bridge_config(call, context)
        await ipam_call(call, context, config.ipam)
        await run_in_own_thread(partial(_check, call, context, config, require_previous(call)))

    async def gc(self, call: PluginCall, context: Context) -> None:
        await run_in_own_thread(partial(collect_masquerade, call, context))
        await ipam_call(call, context, ipam_of(call))

    async def status(self, call: PluginCall, context: Context) -> None:
        await ipam_call(call, context, bridge_config(call, context).ipam)


def _add(call: PluginCall, context: Context, config: BridgeConfig, mac: str, result: Result) -> Result:
    names = _names(mac)
    wanted = gateway_addresses(config, result)
    with opened(netns_of(call)) as pod:
        seen, vlan_link = look(config, wanted)
        gateway, gateway_link = (vlan_link, config.vlan_link) if config.vlan else (seen, config.bridge)
        try:
            plan = (
                *bridge_plan(config, seen, names),
                *port_plan(config, seen, names, call.ifname),
                *(vlan_gateway_plan(config, seen, vlan_link, names) if config.vlan and wanted else ()),
                *gateway_plan(gateway_link, gateway, wanted, force=config.force_address),
                *_rules(call, context, config, names, result),
                *pod_plan(config, call.ifname, result),
            )
        except AddressTakenError as exc:
            raise CniError(f"{exc}: {_pods(call, context, exc)}") from exc
        with plans.applied(plan, pod=pod, label="bridge.ADD"):
            return _settled(call, config, names, result, pod)


def look(config: BridgeConfig, wanted: tuple[str, ...]) -> tuple[Seen, Seen]:
    """The bridge and, with a VLAN, the link that has its gateway's address. Blocks. Raises OSError."""
    with NetlinkSocket() as netlink:
        seen = _seen(netlink, config.bridge, wanted)
        if not (config.vlan and wanted):
            return seen, Seen()
        vlan_link = _seen(netlink, config.vlan_link, wanted)
        return seen, structs.replace(vlan_link, port=_port(netlink, seen.link, vlan_link.link))


def _port(netlink: NetlinkSocket, bridge: Link | None, link: Link | None) -> str:
    """The other end of the veth ``link``, if it is a port of ``bridge``."""
    if bridge is None or link is None or link.kind != "veth" or not link.peer_index or link.peer_nsid is not None:
        return ""
    port = get_link(netlink, link.peer_index)
    return port.name if port and port.master == bridge.index else ""


def _seen(netlink: NetlinkSocket, name: str, wanted: tuple[str, ...]) -> Seen:
    link = find_link(netlink, name)
    if link is None or not wanted:
        return Seen(link)
    seen = Seen(link, list_addresses(netlink, link.index))
    if not in_the_way(seen, wanted):
        return seen
    ports = tuple(port for port in list_links(netlink) if port.master == link.index and port.state == "up")
    return structs.replace(seen, live_ports=ports)


def _rules(call: PluginCall, context: Context, config: BridgeConfig, names: Names, result: Result) -> Plan:
    """Effects on the packet filter."""
    check = AddSpoofCheck(context.nft, call.container_id, call.ifname, names.veth, names.pod_mac)
    addresses = (ip.address for ip in result.ips) if config.ip_masq else ()
    return (*((check,) if config.macspoofchk else ()), *masquerade(call, context, addresses))


def _settled(call: PluginCall, config: BridgeConfig, names: Names, result: Result, pod: int) -> Result:
    """The result, once the pod's port is open."""
    with NetlinkSocket() as netlink:
        if not config.disable_container_interface:
            wait_link_up(netlink, names.veth)
            if config.enabledad and any(ip.family == 6 for ip in result.ips):
                wait_addresses_settled(pod, call.ifname)
        # Only now: a bridge whose MAC nobody has set takes that of one of its ports, maybe of the new one.
        bridge_mac = link_mac(netlink, config.bridge) or ""
        wants_vlan_link = config.vlan and gateway_addresses(config, result)
        vlan_mac = link_mac(netlink, config.vlan_link) or "" if wants_vlan_link else ""
    return bridge_result(
        config,
        names,
        result,
        netns=netns_of(call),
        ifname=call.ifname,
        bridge_mac=bridge_mac,
        vlan_mac=vlan_mac,
    )


def _remove_rules(call: PluginCall, context: Context, unused: list[OwnedTable]) -> None:
    faults.reach("bridge.DEL.rules")
    unused += end_masquerade(call, context)
    if decode_some(call, SpoofCheck).macspoofchk:
        remove_spoof_check(context.nft, call.container_id, call.ifname)


def _check(call: PluginCall, context: Context, config: BridgeConfig, result: Result) -> None:
    netns = netns_of(call)
    view = read_netns(netns, table=0)
    host = check_attachment(call, config, result, view, read_host_links(netns, call.ifname))
    repair = mtu_repair(config, host)
    if repair:
        log.warning("network %s: MTU of %s had changed, set to %d", network_of(call), host.veth.name, config.mtu)
        plans.apply(repair, pod=None, label="bridge.CHECK")
    repair_masquerade(call, context)


def _names(pod_mac: str) -> Names:
    macs = [random_mac() for _ in range(4)]
    return Names(random_veth_name(), macs[0], pod_mac or random_mac(), macs[1], random_veth_name(), macs[2], macs[3])


def _pods(call: PluginCall, context: Context, exc: AddressTakenError) -> str:
    """Who is behind these ports, by the results cache; a port that is not in it by its own name."""
    owners: dict[str, str] = {}
    for attachment in ResultCache(context.data).attachments(network_of(call)):
        pod = dict(attachment.cni_args or ()).get("K8S_POD_NAME") or f"container {attachment.container_id}"
        owners |= {str(one.get("name")): pod for one in attachment.result.get("interfaces", ())}
    return ", ".join(owners.get(port.name, port.name) for port in exc.ports)
