"""static: addresses, routes and DNS as the configuration states them. Keeps nothing.

Source: the options of the reference plugin 1.9.
"""

from __future__ import annotations

import ipaddress
from typing import ClassVar

from msgspec import Struct, structs

from cni_runtime.call import PluginCall
from cni_runtime.errors import CniError
from cni_runtime.plugins.base import (
    Context,
    Plugin,
    argument,
    cni_arguments,
    decode_ipam,
    nothing_done_yet,
    require_one_per_family,
    require_previous,
    result_part,
    runtime_config,
)
from cni_runtime.result import IPConfig, Result


class _Address(Struct, frozen=True):
    address: str
    gateway: str | None = None


class _Ipam(Struct, frozen=True):
    addresses: tuple[_Address, ...] = ()
    routes: tuple[dict[str, object], ...] = ()
    dns: dict[str, object] = {}


class _Arguments(Struct, frozen=True):
    ips: tuple[str, ...] = ()


class Static(Plugin):
    """See the module."""

    type: ClassVar[str] = "static"

    async def add(self, call: PluginCall, context: Context) -> Result:
        with nothing_done_yet():
            return static_result(call, context)

    async def delete(self, call: PluginCall, context: Context) -> None:
        """Nothing is kept, so nothing is released."""

    async def check(self, call: PluginCall, context: Context) -> None:
        wanted = {ip.address: ip for ip in static_result(call, context).ips}
        for ip in require_previous(call).ips:
            expected = wanted.get(ip.address)
            if expected and expected.gateway and expected.gateway != ip.gateway:
                raise CniError(f"address {ip.address} has gateway {ip.gateway}, expected {expected.gateway}")


def static_result(call: PluginCall, context: Context) -> Result:
    """What ADD gives. ``runtimeConfig`` wins over ``args``, ``args`` over the configuration. Raises ConfigError."""
    ipam = decode_ipam(call, _Ipam, context)
    instead = runtime_config(call, _Arguments).ips or cni_arguments(call, _Arguments).ips
    ips = tuple(_ip(call, one) for one in instead) if instead else _configured(call, ipam)
    require_one_per_family(call, [ip.family for ip in ips])
    return structs.replace(result_part(call, routes=ipam.routes, dns=ipam.dns), ips=ips)


def _configured(call: PluginCall, ipam: _Ipam) -> tuple[IPConfig, ...]:
    """The addresses of the configuration and those of ``CNI_ARGS``, each gateway of which is for its network."""
    asked = [_ip(call, text) for text in _split(argument(call, "IP"))]
    ips = [*(_ip(call, one.address, one.gateway or "") for one in ipam.addresses), *asked]
    for text in _split(argument(call, "GATEWAY")):
        gateway = ipaddress.ip_interface(_ip(call, f"{text}/32" if ":" not in text else f"{text}/128").address).ip
        ips = [structs.replace(ip, gateway=str(gateway)) if gateway in _network(ip) else ip for ip in ips]
    return tuple(ips)


def _ip(call: PluginCall, address: str, gateway: str = "") -> IPConfig:
    return result_part(call, ips=[{"address": address, "gateway": gateway}]).ips[0]


def _network(ip: IPConfig) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    return ipaddress.ip_interface(ip.address).network


def _split(text: str) -> list[str]:
    return [item.strip() for item in text.split(",") if item.strip()]
