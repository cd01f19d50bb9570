"""What a server elsewhere may not send this machine to: the machine itself, and what is on its link."""

from __future__ import annotations

import ipaddress
import socket

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from crishim.image.errors import RegistryError


class OutsideResolver(AbstractResolver):
    """Looks names up, and refuses those that lead inside: a connection goes to no address but those found here."""

    def __init__(self) -> None:
        self._resolver = aiohttp.DefaultResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """The addresses of ``host``. Raises OSError, and RegistryError when one of them is inside."""
        found = await self._resolver.resolve(host, port, family)
        for each in found:
            if is_inside(each["host"]):
                raise RegistryError(f"redirect to {host}: refused, {each['host']} leads into this machine")
        return found

    async def close(self) -> None:
        """Nothing is looked up any more."""
        await self._resolver.close()


def is_inside(host: str) -> bool:
    """Whether a name or an address, however it is written, says by itself that it leads inside."""
    name = host.rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    address = _address(name)
    return address is not None and (address.is_loopback or address.is_link_local or address.is_unspecified)


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return _classful(text)
    return (address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None) or address


def _classful(text: str) -> ipaddress.IPv4Address | None:
    """An address as 127.1, 0x7f000001 and the like, which getaddrinfo(3) takes as well."""
    try:
        return ipaddress.IPv4Address(socket.inet_aton(text))
    except (OSError, ValueError):
        return None
