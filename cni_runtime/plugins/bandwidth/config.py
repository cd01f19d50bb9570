"""The options of bandwidth, what they mean to the kernel, and the effects of an ADD. Pure.

Source: the options of the reference plugin 1.9.
"""

from __future__ import annotations

import hashlib
from typing import Annotated

from msgspec import Meta, Struct

from cni_runtime.call import PluginCall
from cni_runtime.errors import CniError, ConfigError
from cni_runtime.net import tc
from cni_runtime.net.inspect import Link
from cni_runtime.net.plan import Effect, Plan
from cni_runtime.net.shaping import AddIfb, LimitSending, RedirectReceived
from cni_runtime.net.tc import Qdisc, TokenBucket
from cni_runtime.plugins.base import Context, decode, runtime_config, where_of

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


def compare(link: str, wanted: TokenBucket, found: tuple[Qdisc, ...]) -> None:
    """Raises CniError when ``wanted`` is not among the qdiscs of the link. Pure."""
    buckets = [qdisc.bucket for qdisc in found if qdisc.bucket]
    if not buckets:
        raise CniError(f"{link} has no limit")
    if wanted not in buckets:
        raise CniError(f"{link} has the limit {buckets[0]}, expected {wanted}")
