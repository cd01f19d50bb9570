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
    """``text``, an address with the length of its network's prefix, as everybody writes it. Raises ValueError."""
    return str(ip_interface(text))


@lru_cache(_REMEMBERED)
def normal_address(text: str) -> str:
    """``text``, an address, as everybody writes it. Raises ValueError."""
    return str(ip_address(text))
