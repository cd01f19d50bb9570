"""sbr: source based routing. What the pod sends from an address of an interface leaves through that interface.

Each address gets a routing table of its own, with the routes of its interface, and a rule that leads there; the main
table loses them. With the option ``table`` there is only a rule for each address, and the table is somebody else's.

Source: the options of the reference plugin 1.9.
"""

from __future__ import annotations

import fcntl
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from ipaddress import ip_address, ip_interface
from typing import Annotated, ClassVar

from msgspec import Meta, Struct

from cni_runtime import faults
from cni_runtime.call import PluginCall
from cni_runtime.errors import CniError, ConfigError, ErrorCode
from cni_runtime.net import plan as plans
from cni_runtime.net import rules, tables
from cni_runtime.net.ifreq import link_index
from cni_runtime.net.inspect import list_addresses, list_routes
from cni_runtime.net.plan import Effect, Plan
from cni_runtime.net.routes import MAIN_TABLE, RouteSpec
from cni_runtime.net.rules import AddRule, Rule
from cni_runtime.net.sockets import NetlinkSocket, in_namespace, opened, run_in_own_thread
from cni_runtime.net.tables import EmptyMainTable, FillTable, KernelRoute
from cni_runtime.plugins.base import (
    Context,
    Plugin,
    decode,
    decode_or_default,
    netns_of,
    nothing_done_yet,
    require_previous,
    where_of,
)
from cni_runtime.result import IPConfig, Result

log = logging.getLogger(__name__)

_FIRST_TABLE = 100
_LOCK_TIMEOUT = 10.0


class SbrConfig(Struct, frozen=True):
    """The options. ``table`` None: a free one for each address."""

    table: Annotated[int, Meta(ge=1, le=2**32 - 1)] | None = None


class Seen(Struct, frozen=True):
    """What was found in the pod: the interface's index, its routes, all rules, and the tables that have routes."""

    index: int
    routes: tuple[KernelRoute, ...] = ()
    rules: tuple[Rule, ...] = ()
    filled_tables: frozenset[int] = frozenset()


class Sbr(Plugin):
    """See the module."""

    type: ClassVar[str] = "sbr"

    async def add(self, call: PluginCall, context: Context) -> Result:
        with nothing_done_yet():
            config, result = decode(call, SbrConfig, context), require_previous(call)
            ips = addresses_of(call, result)
        await run_in_own_thread(partial(_add, call, config, ips))
        return result

    async def delete(self, call: PluginCall, context: Context) -> None:
        # Without the table: whichever it is, rules for the interface's addresses are the pod's.
        await run_in_own_thread(partial(_delete, call, decode_or_default(call, SbrConfig)))

    async def check(self, call: PluginCall, context: Context) -> None:
        config, result = decode(call, SbrConfig, context), require_previous(call)
        await run_in_own_thread(partial(_check, call, config, addresses_of(call, result)))


def addresses_of(call: PluginCall, result: Result) -> tuple[IPConfig, ...]:
    """The addresses of the call's interface, and those that belong to no interface. Raises ConfigError. Pure."""
    if not result.ips:
        raise ConfigError(f"{where_of(call)}: prevResult has no addresses")
    named = [ip for ip in result.ips if ip.interface is None or result.interfaces[ip.interface].name == call.ifname]
    return tuple(named)


def sbr_plan(config: SbrConfig, seen: Seen, ips: tuple[IPConfig, ...]) -> Plan:
    """Effects of an ADD. Pure. Raises CniError for a rule that is there already.

    Routes are taken away after all have been added: the kernel looks gateways up in the main table.
    """
    if config.table is not None:
        return tuple(_add_rule(seen, config.table, ip) for ip in ips)
    effects: list[Effect] = []
    main = tuple(route for route in seen.routes if route.table == MAIN_TABLE)
    used = seen.filled_tables | {rule.table for rule in seen.rules}
    for ip, table in zip(ips, free_tables(used), strict=False):
        copies = tuple(route for route in main if belongs(route, ip))
        effects += (_add_rule(seen, table, ip), FillTable(table, seen.index, _default(ip, table), copies))
    if main:
        effects.append(EmptyMainTable(main))
    return tuple(effects)


def free_tables(used: frozenset[int]) -> Iterator[int]:
    """Tables that are not used, from 100 on. Pure."""
    table = _FIRST_TABLE
    while True:
        if table not in used:
            yield table
        table += 1


def belongs(route: KernelRoute, ip: IPConfig) -> bool:
    """Whether a route of the interface is for this address too. Pure."""
    if not route.source and not route.gateway:
        return True
    network = ip_interface(ip.address).network
    return any(address and ip_address(address) in network for address in (route.source, route.gateway))


def _add_rule(seen: Seen, table: int, ip: IPConfig) -> AddRule:
    if any((rule.table, rule.source) == (table, ip.ip) for rule in seen.rules):
        raise CniError(f"there is a rule for packets from {ip.ip} to table {table} already")
    return AddRule(Rule(table, ip.ip))


def _default(ip: IPConfig, table: int) -> RouteSpec | None:
    destination = "0.0.0.0/0" if ip.family == 4 else "::/0"
    return RouteSpec(destination, gateway=ip.gateway, table=table) if ip.gateway else None


def _add(call: PluginCall, config: SbrConfig, ips: tuple[IPConfig, ...]) -> None:
    with _locked(netns_of(call)) as pod:
        seen = in_namespace(pod, partial(_look, call.ifname))
        if seen is None:
            raise CniError(f"interface {call.ifname} is not in the pod")
        plans.apply(sbr_plan(config, seen, ips), pod=pod, label="sbr.ADD")


def _look(ifname: str) -> Seen | None:
    with NetlinkSocket() as netlink:
        index = link_index(netlink, ifname)
        if index is None:
            return None
        routes = tables.list_link_routes(netlink, index)
        filled = frozenset(route.table for route in list_routes(netlink, table=0))
        return Seen(index, routes, rules.list_rules(netlink), filled)


def _delete(call: PluginCall, config: SbrConfig) -> None:
    faults.reach("sbr.DEL.rules")
    if not call.netns:
        return
    try:
        with _locked(call.netns) as pod:
            in_namespace(pod, partial(_delete_rules, call.ifname, config.table))
    except FileNotFoundError:
        return


def _delete_rules(ifname: str, table: int | None) -> None:
    with NetlinkSocket() as netlink:
        index = link_index(netlink, ifname)
        if index is None:
            return
        own = {str(ip_interface(address.address).ip) for address in list_addresses(netlink, index)}
        ours = [rule for rule in rules.list_rules(netlink) if rule.source in own and table in (None, rule.table)]
        netlink.run([rules.delete_rule(rule) for rule in ours])


def _check(call: PluginCall, config: SbrConfig, ips: tuple[IPConfig, ...]) -> None:
    with opened(netns_of(call)) as pod:
        present = in_namespace(pod, _list_rules)
    for ip in ips:
        if not any(rule.source == ip.ip and config.table in (None, rule.table) for rule in present):
            table = f" to table {config.table}" if config.table is not None else ""
            raise CniError(f"there is no rule for packets from {ip.ip}{table} in {call.netns}")


def _list_rules() -> tuple[Rule, ...]:
    with NetlinkSocket() as netlink:
        return rules.list_rules(netlink)


@contextmanager
def _locked(netns: str) -> Iterator[int]:
    """The namespace as a file descriptor, with the lock on it that the reference plugin takes too.

    Raises FileNotFoundError, and CniError when somebody else keeps the lock.
    """
    deadline = time.monotonic() + _LOCK_TIMEOUT
    with opened(netns) as pod:
        while not _try_lock(pod):
            if time.monotonic() >= deadline:
                message = f"{netns} is locked by another process for more than {_LOCK_TIMEOUT:g} s"
                raise CniError(message, code=ErrorCode.TRY_AGAIN_LATER)
            time.sleep(0.005)
        yield pod


def _try_lock(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
