"""The verbs of host-device."""

from __future__ import annotations

import logging
from contextlib import suppress
from functools import partial
from typing import Any, ClassVar

from msgspec import Struct, structs

from cni_runtime import faults
from cni_runtime.call import PluginCall
from cni_runtime.errors import CniError
from cni_runtime.net import plan as plans
from cni_runtime.net.inspect import Link, list_links, read_netns
from cni_runtime.net.moving import MoveIn, move_out, reclaim
from cni_runtime.net.plan import Plan
from cni_runtime.net.sockets import NetlinkSocket, opened, run_in_own_thread
from cni_runtime.net.wait import wait_addresses_settled
from cni_runtime.plugins.base import (
    Context,
    Plugin,
    decode_some,
    dns_or,
    netns_of,
    network_of,
    nothing_done_yet,
    pod_interface,
    require_previous,
)
from cni_runtime.plugins.delegate import ipam_addresses, ipam_call, ipam_of
from cni_runtime.plugins.host_device.config import HostDeviceConfig, Selected, host_device_config, select
from cni_runtime.plugins.pod_link import check_pod_link, pod_link_plan
from cni_runtime.plugins.veth import attach
from cni_runtime.result import DNS, Interface, Result

log = logging.getLogger(__name__)


class HostDevice(Plugin):
    """See the package."""

    type: ClassVar[str] = "host-device"

    async def add(self, call: PluginCall, context: Context) -> Result:
        with nothing_done_yet():
            config = host_device_config(call, context)
        if not config.ipam.type:
            return await _attach(call, context, config, Result())
        async with ipam_addresses(call, context, config.ipam) as given:
            ips = tuple(structs.replace(ip, interface=0) for ip in given.ips)
            result = structs.replace(given, ips=ips, dns=dns_or(call, DNS()))
            return await _attach(call, context, config, result)

    async def delete(self, call: PluginCall, context: Context) -> None:
        await run_in_own_thread(partial(_delete, call, _named(call)))
        faults.reach("host-device.DEL.ipam")
        await ipam_call(call, context, ipam_of(call))

    async def check(self, call: PluginCall, context: Context) -> None:
        config = host_device_config(call, context)
        await ipam_call(call, context, config.ipam)
        await run_in_own_thread(partial(_check, call, require_previous(call)))

    async def gc(self, call: PluginCall, context: Context) -> None:
        await ipam_call(call, context, ipam_of(call))

    async def status(self, call: PluginCall, context: Context) -> None:
        await ipam_call(call, context, host_device_config(call, context).ipam)


async def _attach(call: PluginCall, context: Context, config: HostDeviceConfig, result: Result) -> Result:
    return await attach(call, context, partial(_add, call, config, result), partial(_delete, call, config.device))


class _Named(Struct, frozen=True):
    device: Any = ""


def _named(call: PluginCall) -> str:
    """The device's name if the options have one, for DEL: it is not needed while the device is in the pod."""
    device = decode_some(call, _Named).device
    return device if isinstance(device, str) else ""


def host_device_plan(device: Link, ifname: str, result: Result) -> Plan:
    """Effects of an ADD. Pure."""
    return MoveIn(device, ifname), *pod_link_plan(ifname, result.ips, result.routes, dad=True)


def pick(links: tuple[Link, ...], selected: Selected) -> Link:
    """The host's link that was selected. Raises CniError. Pure."""
    if selected.device:
        found, what = [link for link in links if link.name == selected.device], selected.device
    else:
        found, what = [link for link in links if link.mac == selected.mac], f"with the MAC {selected.mac}"
    if not found:
        raise CniError(f"there is no device {what} on the host")
    return found[0]


def _add(call: PluginCall, config: HostDeviceConfig, result: Result) -> Result:
    netns, selected = netns_of(call), select(call, config)
    interface = Interface(name=call.ifname, sandbox=netns)
    if selected.dpdk:
        return structs.replace(result, interfaces=(interface,))
    with NetlinkSocket() as netlink:
        device = pick(list_links(netlink), selected)
    plan = host_device_plan(device, call.ifname, result)
    with opened(netns) as pod, plans.applied(plan, pod=pod, label="host-device.ADD"):
        if any(ip.family == 6 and ip.gateway for ip in result.ips):
            wait_addresses_settled(pod, call.ifname)
    return structs.replace(result, interfaces=(structs.replace(interface, mac=device.mac),))


def _delete(call: PluginCall, device: str) -> None:
    faults.reach("host-device.DEL.move_out")
    if call.netns:
        with suppress(FileNotFoundError), opened(call.netns) as pod:
            name = move_out(pod, call.ifname, device)
            if name:
                log.info("network %s: %s went back to the host as %s", network_of(call), call.ifname, name)
            return
    if device:
        reclaim(device)


def _check(call: PluginCall, result: Result) -> None:
    netns, expected = netns_of(call), pod_interface(call, result)
    view = read_netns(netns, table=0)
    link = view.link(call.ifname)
    if link is None:
        if not expected.mac:  # a DPDK device
            return
        raise CniError(f"there is no {call.ifname} in {netns}")
    if expected.mac and expected.mac != link.mac:
        raise CniError(f"interface {call.ifname} has MAC {link.mac}, expected {expected.mac}")
    check_pod_link(view, call.ifname, result)
