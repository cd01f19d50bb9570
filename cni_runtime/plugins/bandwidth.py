"""bandwidth: limits for what a pod sends and receives, set at the host's end of its veth pair.

The host's end sends what the pod receives (ingress), and receives what the pod sends (egress).
"""

from __future__ import annotations

import hashlib
from functools import partial
from typing import Annotated, ClassVar

from msgspec import Meta, Struct, structs

from cni_runtime import faults
from cni_runtime.call import PluginCall
from cni_runtime.errors import CniError, ConfigError
from cni_runtime.net import links, tc
from cni_runtime.net import plan as plans
from cni_runtime.net.inspect import Link, find_link, list_links, read_host_links
from cni_runtime.net.links import random_mac
from cni_runtime.net.plan import Effect, Plan
from cni_runtime.net.shaping import AddIfb, LimitSending, RedirectReceived
from cni_runtime.net.sockets import NetlinkSocket, opened, run_in_own_thread
from cni_runtime.net.tc import Qdisc, TokenBucket
from cni_runtime.plugins.base import (
    Context,
    Plugin,
    decode,
    netns_of,
    network_of,
    previous_of,
    require_previous,
    runtime_config,
    valid_attachments,
    where_of,
)
from cni_runtime.result import Interface, Result

_PREFIX, _NAME_LENGTH = "bwp", 15
_LATENCY = 0.025
_MAX_BURST = 8 * (2**32 - 1)

_Number = Annotated[int, Meta(ge=0, le=2**63 - 1)]


class BandwidthConfig(Struct, frozen=True, rename="camel"):
    """The options, also those of the capability. Rates in bits/s, bursts in bits; None or 0: no limit."""

    ingress_rate: _Number | None = None
    ingress_burst: _Number | None = None
    egress_rate: _Number | None = None
    egress_burst: _Number | None = None


class _Arguments(Struct, frozen=True):
    bandwidth: BandwidthConfig = BandwidthConfig()


class Limits(Struct, frozen=True):
    """A limit for each direction, if there is one."""

    ingress: TokenBucket | None = None
    egress: TokenBucket | None = None

    def __bool__(self) -> bool:
        return self != Limits()


class Bandwidth(Plugin):
    """See the module."""

    type: ClassVar[str] = "bandwidth"

    async def add(self, call: PluginCall, context: Context) -> Result:
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


def bandwidth_config(call: PluginCall, context: Context) -> BandwidthConfig:
    """The validated limits: of the configuration if it has any, else of the runtime. Raises ConfigError."""
    own = decode(call, BandwidthConfig, context)
    config = runtime_config(call, _Arguments).bandwidth if own == BandwidthConfig() else own
    for name, rate, burst in (
        ("ingress", config.ingress_rate or 0, config.ingress_burst or 0),
        ("egress", config.egress_rate or 0, config.egress_burst or 0),
    ):
        if bool(rate) != bool(burst):
            raise ConfigError(f"{where_of(call)}: {name}Rate and {name}Burst go together")
        if 0 < rate < 8:
            raise ConfigError(f"{where_of(call)}: {name}Rate {rate} is less than one byte per second")
        if burst >= _MAX_BURST:
            raise ConfigError(f"{where_of(call)}: {name}Burst {burst} is more than 4 GB")
    return config


def limits_of(config: BandwidthConfig, ticks: float) -> Limits:
    """The kernel's parameters for ``config``; ``ticks`` as in ``tc.token_bucket``. Pure."""
    return Limits(
        ingress=_bucket(config.ingress_rate, config.ingress_burst, ticks),
        egress=_bucket(config.egress_rate, config.egress_burst, ticks),
    )


def bandwidth_plan(limits: Limits, veth: Link, ifb: AddIfb, seen: tuple[Qdisc, ...]) -> Plan:
    """Effects of an ADD; ``seen`` are the qdiscs that the host's end has. Raises CniError. Pure."""
    kinds = {qdisc.kind for qdisc in seen}
    if (limits.ingress and "tbf" in kinds) or (limits.egress and kinds & {"ingress", "clsact"}):
        raise CniError(f"{veth.name} has a limit or a filter of its own already ({', '.join(sorted(kinds))})")
    effects: list[Effect] = []
    if limits.ingress:
        effects.append(LimitSending(veth.name, limits.ingress))
    if limits.egress:
        effects += (ifb, LimitSending(ifb.link, limits.egress), RedirectReceived(veth.name, ifb.link))
    return tuple(effects)


def ifb_name(network: str, container_id: str) -> str:
    """The name of the ifb through which what the container sends goes, as the reference plugin has it. Pure."""
    digest = hashlib.sha512((network + container_id).encode()).hexdigest()
    return f"{_PREFIX}{digest}"[:_NAME_LENGTH]


def ifb_alias(network: str, container_id: str) -> str:
    """How GC knows whose an ifb is: network names have no blanks. Pure."""
    return f"{network} {container_id}"


def _bucket(rate: int | None, burst: int | None, ticks: float) -> TokenBucket | None:
    return tc.token_bucket(rate, burst, _LATENCY, ticks) if rate and burst else None


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


def compare(link: str, wanted: TokenBucket, found: tuple[Qdisc, ...]) -> None:
    """Raises CniError when ``wanted`` is not among the qdiscs of the link. Pure."""
    buckets = [qdisc.bucket for qdisc in found if qdisc.bucket]
    if not buckets:
        raise CniError(f"{link} has no limit")
    if wanted not in buckets:
        raise CniError(f"{link} has the limit {buckets[0]}, expected {wanted}")


def _collect(network: str, valid: frozenset[str]) -> None:
    with NetlinkSocket() as netlink:
        for link in list_links(netlink):
            owner, _, container = link.alias.partition(" ")
            ours = link.kind == "ifb" and owner == network and link.name == ifb_name(network, container)
            if ours and container not in valid:
                faults.reach("bandwidth.GC.ifb")
                netlink.ask(links.delete_link(link.index))
