"""Requests that add and delete addresses. Pure. Source: rtnetlink(7), include/uapi/linux/if_addr.h."""

from __future__ import annotations

import socket

from cni_runtime.ip import Interface, ip_interface
from cni_runtime.net import codec
from cni_runtime.net.codec import Request
from cni_runtime.net.rtnl import ADDRESS, Ifa, Rtm

NODAD, DADFAILED, TENTATIVE = 0x02, 0x08, 0x40


def add_address(index: int, address: str, *, nodad: bool = False) -> Request:
    """Add ``address`` (10.1.2.3/24) to a link. IPv4 gets the network's broadcast address, as ``ip`` gives it.

    ``nodad``: an IPv6 address is usable at once, without duplicate address detection. EEXIST when it is there.
    """
    interface = ip_interface(address)
    body = _body(index, interface)
    if interface.version == 4 and interface.network.prefixlen < 31:
        body += codec.attribute(Ifa.BROADCAST, interface.network.broadcast_address.packed)
    if interface.version == 6 and nodad:
        body += codec.u32(Ifa.FLAGS, NODAD)
    flags = codec.CREATE | codec.EXCLUSIVE
    return Request(Rtm.NEWADDR, body, flags, f"add address {address} to link {index}")


def delete_address(index: int, address: str) -> Request:
    """Delete ``address`` (10.1.2.3/24) of a link. EADDRNOTAVAIL when it is not there."""
    return Request(Rtm.DELADDR, _body(index, ip_interface(address)), what=f"delete address {address}")


def _body(index: int, interface: Interface) -> bytes:
    family = socket.AF_INET if interface.version == 4 else socket.AF_INET6
    packed = interface.ip.packed
    header = ADDRESS.pack(family, interface.network.prefixlen, 0, 0, index)
    return header + codec.attribute(Ifa.LOCAL, packed) + codec.attribute(Ifa.ADDRESS, packed)
