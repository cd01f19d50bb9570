"""Routes as the kernel tells them, to be put into another table or back where they were.

They are kept as the kernel's own bytes, so that what this program has no name for (preference, next hops, locks of
metrics) is copied too. Source: rtnetlink(7), include/uapi/linux/rtnetlink.h.
"""

from __future__ import annotations

import ipaddress
import socket
from typing import ClassVar

from msgspec import Struct

from cni_runtime.net import codec
from cni_runtime.net.codec import Request
from cni_runtime.net.plan import Place, Where
from cni_runtime.net.routes import MAIN_TABLE, RouteSpec, add_route
from cni_runtime.net.rtnl import ROUTE, Rta, Rtm
from cni_runtime.net.sockets import NetlinkSocket

_CLONED, _ONLINK = 0x200, 0x4
# Of a route that is there: how it has been used, and how long it lives.
_STATE = frozenset({12, 23})


class KernelRoute(Struct, frozen=True):
    """A route of one link. ``source`` and ``gateway`` are empty when it has none, ``body`` is the kernel's message."""

    destination: str
    table: int
    body: bytes
    source: str = ""
    gateway: str = ""

    def __str__(self) -> str:
        return f"route {self.destination} of table {self.table}"


class FillTable(Struct, frozen=True):
    """Routes of a link in a table that has been empty: a default route if there is a gateway, and copies."""

    name: ClassVar[str] = "fill_table"
    where: ClassVar[Where] = Where.POD
    table: int
    index: int
    default: RouteSpec | None
    copies: tuple[KernelRoute, ...]

    def do(self, place: Place) -> None:
        first = [add_route(self.index, self.default, exclusive=True)] if self.default else []
        place.netlink.run([*first, *(put_route(route, self.table) for route in self.copies)])

    def undo(self, place: Place) -> None:
        there = (route for route in list_link_routes(place.netlink, self.index) if route.table == self.table)
        place.netlink.run([take_route(route) for route in there])


class EmptyMainTable(Struct, frozen=True):
    """The link's routes leave the main table."""

    name: ClassVar[str] = "empty_main_table"
    where: ClassVar[Where] = Where.POD
    routes: tuple[KernelRoute, ...]

    def do(self, place: Place) -> None:
        place.netlink.run([take_route(route) for route in self.routes])

    def undo(self, place: Place) -> None:
        place.netlink.run([put_route(route, MAIN_TABLE) for route in reversed(self.routes)])


def list_link_routes(netlink: NetlinkSocket, index: int) -> tuple[KernelRoute, ...]:
    """The routes of both families through the link, of all tables."""
    found: list[KernelRoute] = []
    for family in (socket.AF_INET, socket.AF_INET6):
        body = ROUTE.pack(family, 0, 0, 0, 0, 0, 0, 0, 0)
        for reply in netlink.ask(Request(Rtm.GETROUTE, body, codec.DUMP, "list routes")):
            attributes = codec.attributes(reply.body, ROUTE.size)
            cloned = ROUTE.unpack_from(reply.body)[8] & _CLONED
            if not cloned and codec.get_u32(attributes, Rta.OIF) == index:
                found.append(_route(reply.body))
    return tuple(found)


def put_route(route: KernelRoute, table: int) -> Request:
    """Add the route to ``table``, in the place of one to the same destination that is there."""
    body = _in_table(route.body, table)
    return Request(Rtm.NEWROUTE, body, codec.CREATE | codec.REPLACE, f"copy {route} to table {table}")


def take_route(route: KernelRoute) -> Request:
    """Delete the route from the table that it is in; ESRCH when it is not there."""
    return Request(Rtm.DELROUTE, _in_table(route.body, route.table), what=f"delete {route}")


def _route(body: bytes) -> KernelRoute:
    family, length, _, _, table, *_ = ROUTE.unpack_from(body)
    found = codec.attributes(body, ROUTE.size)
    unspecified = bytes(4 if family == socket.AF_INET else 16)
    return KernelRoute(
        destination=f"{ipaddress.ip_address(found.get(Rta.DST, unspecified))}/{length}",
        table=codec.get_u32(found, Rta.TABLE) or table,
        body=body,
        source=str(ipaddress.ip_address(found[Rta.PREFSRC])) if Rta.PREFSRC in found else "",
        gateway=str(ipaddress.ip_address(found[Rta.GATEWAY])) if Rta.GATEWAY in found else "",
    )


def _in_table(body: bytes, table: int) -> bytes:
    """The message with another table, and without flags of state, which the kernel refuses."""
    family, length, source_length, tos, _, protocol, scope, kind, flags = ROUTE.unpack_from(body)
    short = table if table < 256 else 0
    kept = [
        codec.attribute(number, value)
        for number, value in codec.each_attribute(body, ROUTE.size)
        if number != Rta.TABLE and number not in _STATE
    ]
    header = ROUTE.pack(family, length, source_length, tos, short, protocol, scope, kind, flags & _ONLINK)
    return header + b"".join(kept) + codec.u32(Rta.TABLE, table)
