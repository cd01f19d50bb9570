"""The verbs of firewall. What the kernel or firewalld is told is told in one worker thread."""

from __future__ import annotations

import logging
from functools import partial
from pathlib import Path
from typing import ClassVar

from msgspec import Struct

from cni_runtime import faults
from cni_runtime.call import PluginCall
from cni_runtime.errors import CniError, ErrorCode
from cni_runtime.net import plan as plans
from cni_runtime.net.effects import AddElements
from cni_runtime.net.netfilter import Netfilter
from cni_runtime.net.nft import Element, OwnedTable, locked
from cni_runtime.net.plan import Effect, Place, Plan, Where
from cni_runtime.net.sockets import run_in_own_thread
from cni_runtime.plugins.base import (
    Context,
    Plugin,
    decode_or_default,
    network_of,
    nothing_done_yet,
    owner_of,
    previous_of,
    require_previous,
    valid_attachments,
    where_of,
)
from cni_runtime.plugins.firewall import firewalld
from cni_runtime.plugins.firewall.config import FirewallConfig, bridge_of, firewall_config
from cni_runtime.plugins.firewall.iptables import accept_in_iptables, is_accepted, remove_from_iptables
from cni_runtime.plugins.firewall.table import TABLE, addresses_in, elements
from cni_runtime.result import Result

log = logging.getLogger(__name__)


class Firewall(Plugin):
    """See the package."""

    type: ClassVar[str] = "firewall"

    async def add(self, call: PluginCall, context: Context) -> Result:
        with nothing_done_yet():
            config, previous = firewall_config(call, context), require_previous(call)
        await run_in_own_thread(partial(_add, call, context, config, previous))
        return previous

    async def delete(self, call: PluginCall, context: Context) -> None:
        await run_in_own_thread(partial(_delete, call, context, decode_or_default(call, FirewallConfig)))

    async def check(self, call: PluginCall, context: Context) -> None:
        config, previous = firewall_config(call, context), require_previous(call)
        await run_in_own_thread(partial(_check, call, context, config, previous))

    async def gc(self, call: PluginCall, context: Context) -> None:
        await run_in_own_thread(partial(_collect, call, context))

    async def status(self, call: PluginCall, context: Context) -> None:
        config = firewall_config(call, context)
        if config.backend == "firewalld" and not await run_in_own_thread(firewalld.is_running):
            raise CniError("firewalld, the backend asked for, does not run", code=ErrorCode.PLUGIN_NOT_AVAILABLE)


class AcceptInIptables(Struct, frozen=True):
    """Rules in iptables for a pod's addresses, where iptables is in use."""

    name: ClassVar[str] = "accept_in_iptables"
    where: ClassVar[Where] = Where.HOST
    netfilter: Netfilter
    state: Path
    addresses: tuple[str, ...]
    admin_chain: str

    def do(self, place: Place) -> None:
        with locked(self.state), self.netfilter.open() as netfilter:
            accept_in_iptables(netfilter, self.addresses, self.admin_chain)

    def undo(self, place: Place) -> None:
        with self.netfilter.open() as netfilter:
            remove_from_iptables(netfilter, self.addresses)


class AddToZone(Struct, frozen=True):
    """A pod's addresses in a zone of firewalld."""

    name: ClassVar[str] = "add_to_zone"
    where: ClassVar[Where] = Where.HOST
    zone: str
    addresses: tuple[str, ...]

    def do(self, place: Place) -> None:
        firewalld.add_to_zone(self.zone, self.addresses)

    def undo(self, place: Place) -> None:
        firewalld.remove_from_zone(self.zone, self.addresses)


def _add(call: PluginCall, context: Context, config: FirewallConfig, previous: Result) -> None:
    plans.apply(_plan(call, context, config, previous), pod=None, label=f"firewall.{call.verb}")


def _plan(call: PluginCall, context: Context, config: FirewallConfig, previous: Result) -> Plan:
    addresses = _addresses(previous)
    by_zone = _uses_firewalld(config)
    own = _elements(call, config, previous, by_zone=by_zone)
    table, owner = _table(context), owner_of(call)
    holding = table.holding(owner)
    plan: list[Effect] = []
    if own and not (holding and holding.elements == own and table.in_force(owner)):
        plan.append(AddElements(table, owner, own, take=True))
    if addresses:
        iptables = AcceptInIptables(context.netfilter, context.state, addresses, config.admin_chain)
        plan.append(AddToZone(config.zone, addresses) if by_zone else iptables)
    return tuple(plan)


def _elements(call: PluginCall, config: FirewallConfig, previous: Result, *, by_zone: bool) -> tuple[Element, ...]:
    bridge = bridge_of(call, config, previous)
    isolated = config.ingress_policy == "isolated"
    return elements(() if by_zone else _addresses(previous), bridge, isolated=isolated)


def _delete(call: PluginCall, context: Context, config: FirewallConfig) -> None:
    table, owner = _table(context), owner_of(call)
    holding = table.holding(owner)
    own = addresses_in(holding) if holding else ()
    addresses = (*own, *_of_nobody_else(table, set(_addresses(previous_of(call) or Result())) - set(own)))
    faults.reach("firewall.DEL.accept")
    if addresses and _uses_firewalld(config):
        firewalld.remove_from_zone(config.zone, addresses)
    if addresses:
        with context.netfilter.open() as netfilter:
            remove_from_iptables(netfilter, addresses)
    faults.reach("firewall.DEL.elements")
    table.drop(owner)


def _of_nobody_else(table: OwnedTable, addresses: set[str]) -> list[str]:
    """Those that no owner has: DEL may come twice, and the address may be another pod's by then."""
    others = {one for other in table.holdings() for one in addresses_in(other)} if addresses else set()
    return sorted(addresses - others)


def _check(call: PluginCall, context: Context, config: FirewallConfig, previous: Result) -> None:
    """Make again what another program took away; raises CniError when it never was there."""
    table, owner = _table(context), owner_of(call)
    holding = table.holding(owner)
    if holding is None:
        _check_reference(call, context, config, previous)
        return
    if not table.in_force(owner):
        log.warning("%s: packet filter rules of %s were gone and are made again", where_of(call), owner)
    _add(call, context, config, previous)


def _check_reference(call: PluginCall, context: Context, config: FirewallConfig, previous: Result) -> None:
    """What the reference plugin has made, or the one that has no rules but firewalld's."""
    for address in _addresses(previous):
        if _uses_firewalld(config):
            accepted = firewalld.is_in_zone(config.zone, address)
        else:
            with context.netfilter.open() as netfilter:
                accepted = is_accepted(netfilter, address)
        if not accepted:
            raise CniError(f"traffic of {address} is not accepted for {owner_of(call)}")


def _collect(call: PluginCall, context: Context) -> None:
    network, valid = network_of(call), valid_attachments(call)
    table = _table(context)
    for holding in table.holdings():
        owner = holding.owner
        if owner.network == network and (owner.container_id, owner.ifname) not in valid:
            with context.netfilter.open() as netfilter:
                remove_from_iptables(netfilter, addresses_in(holding))
            table.drop(owner)


def _table(context: Context) -> OwnedTable:
    return OwnedTable(TABLE, context.nft, context.state)


def _uses_firewalld(config: FirewallConfig) -> bool:
    return config.backend == "firewalld" or (not config.backend and firewalld.is_running())


def _addresses(result: Result) -> tuple[str, ...]:
    return tuple(dict.fromkeys(ip.ip for ip in result.ips))
