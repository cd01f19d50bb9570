"""loopback: brings ``lo`` up. It has no options; the interface name it is called with does not matter."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import ClassVar

from msgspec import Struct

from cni_runtime.call import PluginCall
from cni_runtime.errors import CniError
from cni_runtime.net import links
from cni_runtime.net.ifreq import link_index
from cni_runtime.net.inspect import get_link, list_addresses
from cni_runtime.net.sockets import NetlinkSocket, in_namespace, opened, run_in_own_thread
from cni_runtime.plugins.base import Context, Plugin, decode, netns_of, nothing_done_yet, previous_of
from cni_runtime.result import Interface, IPConfig, Result

_NO_MAC = "00:00:00:00:00:00"

_LoopbackFunction = Callable[[NetlinkSocket, int], tuple[str, ...]]


class LoopbackConfig(Struct, frozen=True):
    """No options."""


class Loopback(Plugin):
    """See the module."""

    type: ClassVar[str] = "loopback"

    async def add(self, call: PluginCall, context: Context) -> Result:
        with nothing_done_yet():
            decode(call, LoopbackConfig, context)
            previous, netns = previous_of(call), netns_of(call)
        addresses = await run_in_own_thread(partial(_in_pod, netns, _bring_up))
        return previous or loopback_result(netns, addresses)

    async def delete(self, call: PluginCall, context: Context) -> None:
        if not call.netns:
            return
        try:
            await run_in_own_thread(partial(_in_pod, call.netns, _bring_down))
        except FileNotFoundError:
            return

    async def check(self, call: PluginCall, context: Context) -> None:
        await run_in_own_thread(partial(_in_pod, netns_of(call), _require_up))


def loopback_result(netns: str, addresses: tuple[str, ...]) -> Result:
    """The result of an ADD: ``lo`` with the first address of each family."""
    ips = [IPConfig(address=address, interface=0) for address in addresses]
    first = {ip.family: ip for ip in reversed(ips)}
    interface = Interface(name="lo", mac=_NO_MAC, sandbox=netns)
    return Result(interfaces=(interface,), ips=tuple(first[family] for family in sorted(first)))


def _in_pod(netns: str, function: _LoopbackFunction) -> tuple[str, ...]:
    def act() -> tuple[str, ...]:
        with NetlinkSocket() as netlink:
            index = link_index(netlink, "lo")
            if index is None:
                raise CniError(f"network namespace {netns} has no lo")
            return function(netlink, index)

    with opened(netns) as fd:
        return in_namespace(fd, act)


def _bring_up(netlink: NetlinkSocket, index: int) -> tuple[str, ...]:
    netlink.ask(links.set_up(index))
    return tuple(address.address for address in list_addresses(netlink, index))


def _bring_down(netlink: NetlinkSocket, index: int) -> tuple[str, ...]:
    netlink.ask(links.set_up(index, up=False))
    return ()


def _require_up(netlink: NetlinkSocket, index: int) -> tuple[str, ...]:
    link = get_link(netlink, index)
    if link is None or not link.admin_up:
        raise CniError("loopback interface lo is down")
    return ()
