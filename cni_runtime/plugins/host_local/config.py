"""The options of host-local, validated. Pure.

Source: the options of the reference plugin 1.9.
"""

from __future__ import annotations

from pathlib import Path

from msgspec import Struct

from cni_runtime import names
from cni_runtime.call import PluginCall
from cni_runtime.errors import ConfigError
from cni_runtime.plugins.base import (
    Context,
    DataDir,
    argument,
    cni_arguments,
    decode_ipam,
    decode_some_ipam,
    network_of,
    require_one_per_family,
    result_part,
    runtime_config,
    where_of,
)
from cni_runtime.plugins.host_local.ranges import Address, RangeSet, address_of, check_sets, make_range
from cni_runtime.result import Route


class _Range(Struct, frozen=True, rename="camel"):
    subnet: str
    range_start: str | None = None
    range_end: str | None = None
    gateway: str | None = None


class _Ipam(Struct, frozen=True, rename="camel"):
    subnet: str = ""
    range_start: str | None = None
    range_end: str | None = None
    gateway: str | None = None
    ranges: tuple[tuple[_Range, ...], ...] = ()
    routes: tuple[dict[str, object], ...] = ()
    data_dir: str = ""
    resolv_conf: str = ""


class _Arguments(Struct, frozen=True, rename={"ip_ranges": "ipRanges"}):
    ips: tuple[str, ...] = ()
    ip_ranges: tuple[tuple[_Range, ...], ...] = ()


class HostLocalConfig(Struct, frozen=True):
    """Where to reserve, out of which sets of ranges (one address of each), and what was asked for.

    ``directory`` holds the reservations; ``requested`` are addresses that the caller wants; ``resolv_conf`` is a
    file to take DNS settings from, or empty.
    """

    directory: Path
    sets: tuple[RangeSet, ...]
    requested: tuple[Address, ...] = ()
    routes: tuple[Route, ...] = ()
    resolv_conf: str = ""


def host_local_config(call: PluginCall, context: Context) -> HostLocalConfig:
    """The validated options of ``call``. Raises ConfigError."""
    ipam = decode_ipam(call, _Ipam, context)
    runtime, arguments = runtime_config(call, _Arguments), cni_arguments(call, _Arguments)
    try:
        sets = _sets(ipam, runtime)
        requested = _requested(call, arguments.ips + runtime.ips)
    except ConfigError as exc:
        raise ConfigError(f"{where_of(call)}: {exc.message}") from exc
    require_one_per_family(call, [ranges[0].subnet.version for ranges in sets])
    return HostLocalConfig(
        directory=_directory(call, context, ipam.data_dir),
        sets=sets,
        requested=requested,
        routes=result_part(call, routes=ipam.routes).routes,
        resolv_conf=ipam.resolv_conf,
    )


def reservation_directory(call: PluginCall, context: Context) -> Path:
    """Where the reservations are, whatever the other options are; for DEL and GC. Raises ConfigError."""
    return _directory(call, context, decode_some_ipam(call, DataDir).data_dir)


def _directory(call: PluginCall, context: Context, data_dir: str) -> Path:
    return Path(data_dir or context.data / "networks") / names.network_name(network_of(call))


def _sets(ipam: _Ipam, runtime: _Arguments) -> tuple[RangeSet, ...]:
    """The runtime's sets first, then the single range of the old form, then ``ranges``."""
    single = ((_Range(ipam.subnet, ipam.range_start, ipam.range_end, ipam.gateway),),) if ipam.subnet else ()
    listed = (*runtime.ip_ranges, *single, *ipam.ranges)
    sets = tuple(
        tuple(make_range(one.subnet, one.range_start or "", one.range_end or "", one.gateway or "") for one in ranges)
        for ranges in listed
    )
    check_sets(sets)
    return sets


def _requested(call: PluginCall, given: tuple[str, ...]) -> tuple[Address, ...]:
    from_args = argument(call, "IP")
    texts = ((from_args,) if from_args else ()) + given
    return tuple(dict.fromkeys(address_of(text, "requested address") for text in texts))
