"""The verbs of portmap. A pod without ports costs nothing; the others one transaction, and a thread to wait for it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import partial
from typing import ClassVar

from cni_runtime import faults
from cni_runtime.cache import ResultCache
from cni_runtime.call import PluginCall
from cni_runtime.errors import CniError, ErrorCode
from cni_runtime.net import plan as plans
from cni_runtime.net.effects import SetSysctls
from cni_runtime.net.nft import OwnedTable, Owner, TakenError, stored_tables
from cni_runtime.net.plan import Effect, Plan, Where
from cni_runtime.net.sockets import NetlinkSocket, run_in_own_thread
from cni_runtime.net.way import Way, way_to
from cni_runtime.plugins.base import (
    Context,
    Plugin,
    network_of,
    nothing_done_yet,
    owner_of,
    previous_of,
    require_previous,
    valid_attachments,
    where_of,
)
from cni_runtime.plugins.forwarding import forward_policy_problem
from cni_runtime.plugins.portmap.config import Forward, PortmapConfig, forwards, port_mappings, portmap_config
from cni_runtime.plugins.portmap.effects import ForgetConnections, ForwardPorts, forget_udp
from cni_runtime.plugins.portmap.guard import GUARD, GuardLoopback
from cni_runtime.plugins.portmap.reference import containers_in_iptables, has_reference, remove_reference
from cni_runtime.plugins.portmap.table import PREFIX, describe, elements, portmap_table, rival_of
from cni_runtime.result import Result

log = logging.getLogger(__name__)


class Portmap(Plugin):
    """See the package."""

    type: ClassVar[str] = "portmap"

    async def add(self, call: PluginCall, context: Context) -> Result:
        with nothing_done_yet():
            config, previous, wanted = _asked(call, context)
        if wanted:
            await run_in_own_thread(partial(_add, call, context, config, wanted))
        return previous

    async def delete(self, call: PluginCall, context: Context) -> None:
        # Without looking at the options: whatever they are by now, what ADD made has to go.
        tables = stored_tables(PREFIX, context.nft, context.state)
        if _asks_for_ports(call) or any(table.holding(owner_of(call)) for table in tables):
            await run_in_own_thread(partial(_delete, call, context, tables))

    async def check(self, call: PluginCall, context: Context) -> None:
        config, _, wanted = _asked(call, context)
        if wanted:
            await run_in_own_thread(partial(_check, call, context, config, wanted))

    async def gc(self, call: PluginCall, context: Context) -> None:
        await run_in_own_thread(partial(_collect, call, context))

    async def status(self, call: PluginCall, context: Context) -> None:
        portmap_config(call, context)
        problem = await run_in_own_thread(partial(forward_policy_problem, context.netfilter))
        if problem:
            raise CniError(problem, code=ErrorCode.LIMITED_CONNECTIVITY)


def _asked(call: PluginCall, context: Context) -> tuple[PortmapConfig, Result, tuple[Forward, ...]]:
    """The options, the result so far, and what is to be forwarded. Raises ConfigError."""
    config, previous = portmap_config(call, context), require_previous(call)
    mappings = port_mappings(call)
    wanted = forwards(call, previous, mappings) if mappings else ()
    if mappings and not wanted:
        log.warning("%s: no address of %s for any of the ports asked for", where_of(call), call.container_id)
    return config, previous, wanted


def _asks_for_ports(call: PluginCall) -> bool:
    runtime = call.config.get("runtimeConfig")
    return isinstance(runtime, Mapping) and bool(runtime.get("portMappings"))


def _add(call: PluginCall, context: Context, config: PortmapConfig, wanted: tuple[Forward, ...]) -> None:
    try:
        plans.apply(_plan(call, context, config, wanted), pod=None, label=f"portmap.{call.verb}")
    except TakenError as exc:
        raise _conflict(call, context, exc) from exc


def _plan(call: PluginCall, context: Context, config: PortmapConfig, wanted: tuple[Forward, ...]) -> Plan:
    ways = _ways(wanted) if config.snat else {}
    own = elements(config, wanted, host6=ways[6].source if 6 in ways else "")
    ports = ForwardPorts(_table(context, config), owner_of(call), own, call.netns or "", rival_of(wanted))
    plan: list[Effect] = [] if ports.is_done() else [ports]
    if any(forward.protocol == "udp" for forward in wanted):
        plan.append(ForgetConnections(context.netfilter, wanted))
    if 4 in ways:
        link = ways[4].link
        plan.append(GuardLoopback(OwnedTable(GUARD, context.nft, context.state), link))
        plan.append(SetSysctls(Where.HOST, ((f"net/ipv4/conf/{link}/route_localnet", "1"),), required=True))
    return tuple(plan)


def _ways(wanted: tuple[Forward, ...]) -> dict[int, Way]:
    """How the host reaches the pod, by family."""
    with NetlinkSocket() as netlink:
        found = {family: way_to(netlink, pod) for family, pod in {one.family: one.pod for one in wanted}.items()}
    return {family: way for family, way in found.items() if way}


def _delete(call: PluginCall, context: Context, tables: tuple[OwnedTable, ...]) -> None:
    owner = owner_of(call)
    faults.reach("portmap.DEL.forward_ports")
    dropped = [table.drop(owner) for table in tables]
    if not any(dropped):
        faults.reach("portmap.DEL.reference")
        with context.netfilter.open() as netfilter:
            remove_reference(netfilter, owner.network, owner.container_id)
    faults.reach("portmap.DEL.forget_connections")
    try:
        previous = previous_of(call) or Result()
        gone = forwards(call, previous, port_mappings(call))
    except CniError as exc:
        log.warning("%s: connections are kept, since DEL does not say which: %s", where_of(call), exc)
        return
    forget_udp(context.netfilter, gone, lambda forward, one: one.replies_from == forward.pod)


def _check(call: PluginCall, context: Context, config: PortmapConfig, wanted: tuple[Forward, ...]) -> None:
    """Make again what another program took away; raises CniError when it never was there."""
    table, owner = _table(context, config), owner_of(call)
    if table.holding(owner) is None:
        with context.netfilter.open() as netfilter:
            if has_reference(netfilter, owner.network, owner.container_id):
                return
        raise CniError(f"ports of {owner} are not forwarded")
    if not table.in_force(owner):
        log.warning("%s: packet filter rules of %s were gone and are made again", where_of(call), owner)
    _add(call, context, config, wanted)


def _collect(call: PluginCall, context: Context) -> None:
    network, valid = network_of(call), valid_attachments(call)
    for table in stored_tables(PREFIX, context.nft, context.state):
        table.keep_only(network, valid)
    containers = {container for container, _ in valid}
    with context.netfilter.open() as netfilter:
        for container in containers_in_iptables(netfilter, network) - containers:
            remove_reference(netfilter, network, container)


def _table(context: Context, config: PortmapConfig) -> OwnedTable:
    return OwnedTable(portmap_table(config), context.nft, context.state)


def _conflict(call: PluginCall, context: Context, taken: TakenError) -> CniError:
    """Both sides by the names that the runtime gave the pods, when they are known."""
    holder = taken.holder
    cached = ResultCache(context.data).read(holder.network, holder.container_id, holder.ifname)
    other = _named(holder, cached.cni_args or () if cached else ())
    message = f"{describe(taken.element)} is taken by {other}, so {_named(owner_of(call), call.args)} cannot have it"
    return CniError(message, code=ErrorCode.TRY_AGAIN_LATER)


def _named(owner: Owner, args: tuple[tuple[str, str], ...]) -> str:
    names = dict(args)
    pod = "/".join(names[key] for key in ("K8S_POD_NAMESPACE", "K8S_POD_NAME") if names.get(key))
    return f"pod {pod} ({owner})" if pod else str(owner)
