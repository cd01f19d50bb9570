"""Connections that the kernel tracks: find those to some ports, forget some.

Blocks for 10 ms and more: the kernel goes through its whole table, whatever it is asked for.
Source: include/uapi/linux/netfilter/nfnetlink_conntrack.h.
"""

from __future__ import annotations

import errno
import ipaddress
import socket
import struct
from collections.abc import Collection
from enum import IntEnum

from msgspec import Struct

from cni_runtime.net import codec
from cni_runtime.net.codec import Request
from cni_runtime.net.netfilter import NetfilterSocket, Subsystem, found_in, message, number
from cni_runtime.net.sockets import NetlinkError

_GET, _DELETE = 1, 2
# Which parts of the given tuple a connection has to match; kernels before 5.8 list all and leave the choice to us.
_MATCH_PROTOCOL, _MATCH_DESTINATION_PORT = 1 << 3, 1 << 5


class _Cta(IntEnum):
    TUPLE_ORIG = 1
    TUPLE_REPLY = 2
    ID = 12
    ZONE = 18
    FILTER = 25


class _Tuple(IntEnum):
    IP = 1
    PROTO = 2


class _Proto(IntEnum):
    NUMBER = 1
    SOURCE_PORT = 2
    DESTINATION_PORT = 3


class Connection(Struct, frozen=True):
    """One connection. ``replies_from`` is who answers: the real destination when that was translated.

    ``identity`` is what the kernel knows it by.
    """

    family: int
    protocol: int
    source: str
    destination: str
    destination_port: int
    replies_from: str
    identity: bytes


def connections_to(
    netfilter: NetfilterSocket, family: int, protocol: int, ports: Collection[int]
) -> tuple[Connection, ...]:
    """The connections of IP version ``family`` (4 or 6) and a protocol number that were made to ``ports``. OSError."""
    replies = netfilter.ask(list_request(family, protocol, ports))
    found = (connection_of(family, reply.body) for reply in replies)
    return tuple(one for one in found if one.protocol == protocol and one.destination_port in ports)


def forget(netfilter: NetfilterSocket, connection: Connection) -> bool:
    """Make the kernel forget a connection, so that its next packet is a first one; whether it knew it. OSError."""
    family = _af(connection.family)
    try:
        netfilter.ask(message(Subsystem.CONNTRACK, _DELETE, family, connection.identity, what="forget a connection"))
    except NetlinkError as exc:
        if exc.errno == errno.ENOENT:
            return False
        raise
    return True


def list_request(family: int, protocol: int, ports: Collection[int]) -> Request:
    """The request that lists connections to ports: of the protocol, and if it is one, to that port only. Pure."""
    wanted, flags = codec.u8(_Proto.NUMBER, protocol), _MATCH_PROTOCOL
    if len(ports) == 1:
        wanted += codec.attribute(_Proto.DESTINATION_PORT, struct.pack(">H", *ports))
        flags |= _MATCH_DESTINATION_PORT
    body = codec.nested(_Cta.TUPLE_ORIG, codec.nested(_Tuple.PROTO, wanted))
    body += codec.nested(_Cta.FILTER, codec.u32(1, flags), codec.u32(2, 0))
    return message(Subsystem.CONNTRACK, _GET, _af(family), body, flags=codec.DUMP, what="list connections")


def connection_of(family: int, body: bytes) -> Connection:
    """The connection that a reply tells of. Pure."""
    found = found_in(body)
    original = codec.attributes(found.get(_Cta.TUPLE_ORIG, b""))
    proto = codec.attributes(original.get(_Tuple.PROTO, b""))
    source, destination = _addresses(family, original)
    kept = ((_Cta.TUPLE_ORIG | codec.NESTED, found.get(_Cta.TUPLE_ORIG)), (_Cta.ID, found.get(_Cta.ID)))
    zone = ((_Cta.ZONE, found.get(_Cta.ZONE)),)
    return Connection(
        family=family,
        protocol=number(proto, _Proto.NUMBER),
        source=source,
        destination=destination,
        destination_port=number(proto, _Proto.DESTINATION_PORT),
        replies_from=_addresses(family, codec.attributes(found.get(_Cta.TUPLE_REPLY, b"")))[0],
        identity=b"".join(codec.attribute(kind, value) for kind, value in (*kept, *zone) if value is not None),
    )


def _addresses(family: int, side: dict[int, bytes]) -> tuple[str, str]:
    """Source and destination of one direction."""
    found = codec.attributes(side.get(_Tuple.IP, b""))
    first = 1 if family == 4 else 3
    packed = (found.get(kind, bytes(4 if family == 4 else 16)) for kind in (first, first + 1))
    source, destination = (str(ipaddress.ip_address(one)) for one in packed)
    return source, destination


def _af(family: int) -> int:
    return socket.AF_INET if family == 4 else socket.AF_INET6
