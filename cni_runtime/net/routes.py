"""Requests that add and delete routes. Pure. Source: rtnetlink(7), include/uapi/linux/rtnetlink.h."""

from __future__ import annotations

import socket

from msgspec import Struct

from cni_runtime.ip import ip_address, ip_interface
from cni_runtime.net import codec
from cni_runtime.net.codec import Request
from cni_runtime.net.rtnl import ROUTE, Rta, Rtax, Rtm

MAIN_TABLE = 254
SCOPE_UNIVERSE, SCOPE_LINK, SCOPE_HOST, SCOPE_NOWHERE = 0, 253, 254, 255
_PROTOCOL_BOOT, _TYPE_UNICAST = 3, 1


class RouteSpec(Struct, frozen=True):
    """A route to be. ``destination`` is in CIDR notation; 0 or empty: not set. ``mtu``, ``advmss`` in bytes."""

    destination: str
    gateway: str = ""
    source: str = ""
    table: int = MAIN_TABLE
    priority: int = 0
    scope: int = SCOPE_UNIVERSE
    mtu: int = 0
    advmss: int = 0


def add_route(index: int, route: RouteSpec, *, exclusive: bool = False) -> Request:
    """Add ``route`` through the link ``index``.

    EEXIST: the same route is there; with ``exclusive`` also when one through another gateway is.
    """
    flags = codec.CREATE | (codec.EXCLUSIVE if exclusive else 0)
    return Request(Rtm.NEWROUTE, _body(index, route, _TYPE_UNICAST, _PROTOCOL_BOOT), flags, f"add {_name(route)}")


def delete_route(index: int, route: RouteSpec) -> Request:
    """Delete ``route``; ESRCH when it is not there. Scope SCOPE_NOWHERE stands for any."""
    return Request(Rtm.DELROUTE, _body(index, route, 0, 0), what=f"delete {_name(route)}")


def _name(route: RouteSpec) -> str:
    return f"route {route.destination}" + (f" via {route.gateway}" if route.gateway else "")


def _body(index: int, route: RouteSpec, kind: int, protocol: int) -> bytes:
    network = ip_interface(route.destination).network
    family = socket.AF_INET if network.version == 4 else socket.AF_INET6
    table = route.table if route.table < 256 else 0
    body = ROUTE.pack(family, network.prefixlen, 0, 0, table, protocol, route.scope, kind, 0)
    if network.prefixlen:
        body += codec.attribute(Rta.DST, network.network_address.packed)
    for attribute, value in ((Rta.GATEWAY, route.gateway), (Rta.PREFSRC, route.source)):
        if value:
            body += codec.attribute(attribute, ip_address(value).packed)
    if route.table > 255:
        body += codec.u32(Rta.TABLE, route.table)
    if route.priority:
        body += codec.u32(Rta.PRIORITY, route.priority)
    metrics = [codec.u32(kind, value) for kind, value in ((Rtax.MTU, route.mtu), (Rtax.ADVMSS, route.advmss)) if value]
    if metrics:
        body += codec.nested(Rta.METRICS, *metrics)
    return body + (codec.u32(Rta.OIF, index) if index else b"")
