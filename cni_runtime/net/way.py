"""Which way the kernel would send a packet. Source: rtnetlink(7)."""

from __future__ import annotations

import ipaddress
import socket

from msgspec import Struct

from cni_runtime.net import codec
from cni_runtime.net.codec import Request, attributes, get_u32
from cni_runtime.net.ifreq import link_name
from cni_runtime.net.rtnl import ROUTE, Rta, Rtm
from cni_runtime.net.sockets import NetlinkError, NetlinkSocket


class Way(Struct, frozen=True):
    """The link that a packet leaves by, and the source address it gets; empty: the kernel names none."""

    link: str
    source: str = ""


def way_to(netlink: NetlinkSocket, address: str) -> Way | None:
    """The way to ``address``; None when there is no route. Raises OSError."""
    try:
        found = attributes(netlink.ask(way_request(address))[0].body, ROUTE.size)
    except NetlinkError:
        return None
    link = link_name(netlink, get_u32(found, Rta.OIF) or 0)
    source = str(ipaddress.ip_address(found[Rta.PREFSRC])) if Rta.PREFSRC in found else ""
    return Way(link, source) if link else None


def way_request(address: str) -> Request:
    """The request for it. Pure."""
    packed = ipaddress.ip_address(address).packed
    family = socket.AF_INET if len(packed) == 4 else socket.AF_INET6
    body = ROUTE.pack(family, len(packed) * 8, 0, 0, 0, 0, 0, 0, 0) + codec.attribute(Rta.DST, packed)
    return Request(Rtm.GETROUTE, body, what=f"get route to {address}")
