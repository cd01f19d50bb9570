"""Parsed addresses. One address is looked at a dozen times in an ADD, and parsing it anew takes 50 microseconds."""

from __future__ import annotations

import ipaddress
from functools import lru_cache

Interface = ipaddress.IPv4Interface | ipaddress.IPv6Interface
Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_REMEMBERED = 256  # addresses come and go with pods: more would be memory that grows for a day


@lru_cache(_REMEMBERED)
def ip_interface(text: str) -> Interface:
    """``ipaddress.ip_interface`` for text. Raises ValueError."""
    return ipaddress.ip_interface(text)


@lru_cache(_REMEMBERED)
def ip_address(text: str) -> Address:
    """``ipaddress.ip_address`` for text. Raises ValueError."""
    return ipaddress.ip_address(text)


@lru_cache(_REMEMBERED)
def normal_interface(text: str) -> str:
    """``text``, an address with the length of its network's prefix, as everybody writes it. Raises ValueError.

    An address of IPv4 in the notation of IPv6 is one of IPv4: ::ffff:10.1.2.3/120 is 10.1.2.3/24.
    """
    found = ip_interface(text)
    address = not_mapped(found.ip)
    return str(found if address == found.ip else ip_interface(f"{address}/{found.network.prefixlen - 96}"))


@lru_cache(_REMEMBERED)
def normal_address(text: str) -> str:
    """``text``, an address, as everybody writes it; see ``normal_interface``. Raises ValueError."""
    return str(not_mapped(ip_address(text)))


def not_mapped(address: Address) -> Address:
    """``address``, or that of IPv4 that it stands for."""
    return (address.version == 6 and address.ipv4_mapped) or address
