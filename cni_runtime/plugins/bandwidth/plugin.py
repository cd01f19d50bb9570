"""The verbs of bandwidth. All kernel work of a verb is one call in one thread."""

from __future__ import annotations

from functools import partial
from typing import ClassVar

from msgspec import structs

from cni_runtime import faults
from cni_runtime.call import PluginCall
from cni_runtime.errors import CniError, ConfigError
from cni_runtime.net import links, tc
from cni_runtime.net import plan as plans
from cni_runtime.net.inspect import Link, find_link, list_links, read_host_links
from cni_runtime.net.links import random_mac
from cni_runtime.net.shaping import AddIfb
from cni_runtime.net.sockets import NetlinkSocket, opened, run_in_own_thread
from cni_runtime.plugins.bandwidth.config import (
    BandwidthConfig,
    bandwidth_config,
    bandwidth_plan,
    compare,
    ifb_alias,
    ifb_name,
    limits_of,
)
from cni_runtime.plugins.base import (
    Context,
    Plugin,
    netns_of,
    network_of,
    nothing_done_yet,
    previous_of,
    require_previous,
    valid_attachments,
    where_of,
)
from cni_runtime.result import Interface, Result


class Bandwidth(Plugin):
    """See the package."""

    type: ClassVar[str] = "bandwidth"

    async def add(self, call: PluginCall, context: Context) -> Result:
        with nothing_done_yet():
            config = bandwidth_config(call, context)
        return await run_in_own_thread(partial(_add, call, config))

    async def delete(self, call: PluginCall, context: Context) -> None:
        await run_in_own_thread(partial(_delete, ifb_name(network_of(call), call.container_id)))

    async def check(self, call: PluginCall, context: Context) -> None:
        config = bandwidth_config(call, context)
        await run_in_own_thread(partial(_check, call, config))

    async def gc(self, call: PluginCall, context: Context) -> None:
        valid = frozenset(container for container, _ in valid_attachments(call))
        await run_in_own_thread(partial(_collect, network_of(call), valid))


def _add(call: PluginCall, config: BandwidthConfig) -> Result:
    limits = limits_of(config, tc.ticks_per_microsecond())
    if not limits:
        return previous_of(call) or Result()
    result = require_previous(call)
    veth = _host_end(call, result)
    network, container = network_of(call), call.container_id
    ifb = AddIfb(ifb_name(network, container), random_mac(), veth.mtu, ifb_alias(network, container))
    with NetlinkSocket() as netlink:
        plan = bandwidth_plan(limits, veth, ifb, tc.list_qdiscs(netlink, veth.index))
    with opened(netns_of(call)) as pod:
        plans.apply(plan, pod=pod, label="bandwidth.ADD")
    if not limits.egress:
        return result
    return structs.replace(result, interfaces=(*result.interfaces, Interface(name=ifb.link, mac=ifb.mac)))


def _host_end(call: PluginCall, result: Result) -> Link:
    """The host's end of the pod's veth pair, which has to be in the result."""
    netns = netns_of(call)
    found = read_host_links(netns, call.ifname)
    if found is None:
        raise CniError(f"interface {call.ifname} in {netns} is not one end of a veth pair to the host")
    if not any(one.name == found.veth.name and not one.sandbox for one in result.interfaces):
        raise ConfigError(f"{where_of(call)}: prevResult does not have the host's interface {found.veth.name}")
    return found.veth


def _delete(name: str) -> None:
    faults.reach("bandwidth.DEL.ifb")
    with NetlinkSocket() as netlink:
        link = find_link(netlink, name)
        if link is not None and link.kind == "ifb":
            netlink.ask(links.delete_link(link.index))


def _check(call: PluginCall, config: BandwidthConfig) -> None:
    limits = limits_of(config, tc.ticks_per_microsecond())
    if not limits:
        return
    veth = _host_end(call, require_previous(call))
    with NetlinkSocket() as netlink:
        if limits.ingress:
            compare(veth.name, limits.ingress, tc.list_qdiscs(netlink, veth.index))
        if limits.egress:
            name = ifb_name(network_of(call), call.container_id)
            ifb = find_link(netlink, name)
            if ifb is None:
                raise CniError(f"there is no ifb {name}")
            compare(name, limits.egress, tc.list_qdiscs(netlink, ifb.index))
            if ifb.index not in tc.redirect_targets(netlink, veth.index):
                raise CniError(f"what {veth.name} receives does not go through {name}")


def _collect(network: str, valid: frozenset[str]) -> None:
    with NetlinkSocket() as netlink:
        for link in list_links(netlink):
            owner, _, container = link.alias.partition(" ")
            ours = link.kind == "ifb" and owner == network and link.name == ifb_name(network, container)
            if ours and container not in valid:
                faults.reach("bandwidth.GC.ifb")
                netlink.ask(links.delete_link(link.index))
