"""Ranges of addresses, and which one is next. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Iterator
from functools import lru_cache

from msgspec import Struct

from cni_runtime.errors import ConfigError
from cni_runtime.ip import ip_interface, not_mapped

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Range(Struct, frozen=True):
    """Addresses from ``start`` to ``end``, both of them included, less the gateway."""

    subnet: Network
    start: Address
    end: Address
    gateway: Address

    def __contains__(self, address: Address) -> bool:
        return address.version == self.subnet.version and int(self.start) <= int(address) <= int(self.end)

    def __str__(self) -> str:
        return f"{self.start}-{self.end}"

    @property
    def capacity(self) -> int:
        """How many addresses can be given."""
        return int(self.end) - int(self.start) + 1 - (self.gateway in self)

    def overlaps(self, other: Range) -> bool:
        """Whether an address is in both."""
        same = self.subnet.version == other.subnet.version
        return same and int(self.start) <= int(other.end) and int(other.start) <= int(self.end)

    def cidr(self, address: Address) -> str:
        """``address`` with the subnet's prefix length."""
        return f"{address}/{self.subnet.prefixlen}"


RangeSet = tuple[Range, ...]


@lru_cache(64)  # the same few are asked for by every pod
def make_range(subnet: str, start: str = "", end: str = "", gateway: str = "") -> Range:
    """A range with what is not given filled in: first and last address, and the first one as gateway. ConfigError."""
    network = _network(subnet)
    last = int(network.broadcast_address) - (1 if network.version == 4 else 0)
    first = int(network.network_address) + 1
    low = _inside(network, start, "rangeStart") if start else network.network_address + 1
    high = _inside(network, end, "rangeEnd") if end else network.network_address + (last - first + 1)
    if int(low) > int(high):
        raise ConfigError(f"range {low}-{high} ends before it starts")
    return Range(network, low, high, address_of(gateway, "gateway") if gateway else network.network_address + 1)


def check_sets(sets: tuple[RangeSet, ...]) -> None:
    """Raises ConfigError when a set is empty or of mixed families, or when ranges overlap."""
    if not sets:
        raise ConfigError("no IP ranges specified")
    for number, ranges in enumerate(sets):
        if not ranges:
            raise ConfigError(f"range set {number} is empty")
        if len({one.subnet.version for one in ranges}) > 1:
            raise ConfigError(f"range set {number} mixes address families")
    every = [(number, one) for number, ranges in enumerate(sets) for one in ranges]
    for position, (number, one) in enumerate(every):
        for other_number, other in every[position + 1 :]:
            if one.overlaps(other):
                raise ConfigError(f"range {one} of set {number} overlaps with {other} of set {other_number}")


def range_of(ranges: RangeSet, address: Address) -> Range | None:
    """The range that ``address`` is in."""
    return next((one for one in ranges if address in one), None)


def next_free(ranges: RangeSet, last: Address | None, reserved: Collection[Address]) -> tuple[Address, Range] | None:
    """The first free address after ``last``, going round once; None when there is none.

    Going on from the last one means that an address just released comes again as late as possible.
    """
    for address, one in _from(ranges, last):
        if address not in reserved:
            return address, one
    return None


def capacity(ranges: RangeSet) -> int:
    """How many addresses a set has in all."""
    return sum(one.capacity for one in ranges)


def free(ranges: RangeSet, reserved: Collection[Address]) -> int:
    """How many addresses of a set are not reserved."""
    return capacity(ranges) - sum(range_of(ranges, address) is not None for address in reserved)


def describe(ranges: RangeSet) -> str:
    """The set as people write it."""
    return ",".join(map(str, ranges))


def address_of(text: str, what: str) -> Address:
    """An address, with or without a prefix length. Raises ConfigError."""
    try:
        return not_mapped(ip_interface(text).ip)
    except ValueError as exc:
        raise ConfigError(f"{what}: expected an IP address, got {text[:80]!r}") from exc


def _from(ranges: RangeSet, last: Address | None) -> Iterator[tuple[Address, Range]]:
    begin = next((at for at, one in enumerate(ranges) if last is not None and last in one), None)
    if begin is None or last is None:
        yield from ((address, one) for one in ranges for address in _each(one, int(one.start), int(one.end)))
        return
    first = ranges[begin]
    yield from ((address, first) for address in _each(first, int(last) + 1, int(first.end)))
    for one in (*ranges[begin + 1 :], *ranges[:begin]):
        yield from ((address, one) for address in _each(one, int(one.start), int(one.end)))
    yield from ((address, first) for address in _each(first, int(first.start), int(last)))


def _each(one: Range, low: int, high: int) -> Iterator[Address]:
    kind = type(one.start)
    return (kind(number) for number in range(low, high + 1) if number != int(one.gateway))


def _network(subnet: str) -> Network:
    try:
        network = ipaddress.ip_network(subnet)
    except ValueError as exc:
        raise ConfigError(f"subnet: expected a network in CIDR notation, got {subnet[:80]!r} ({exc})") from exc
    if network.version == 6 and network.network_address.ipv4_mapped:
        raise ConfigError(f"subnet {network} is one of IPv4 in the notation of IPv6")
    if network.prefixlen > network.max_prefixlen - 2:
        raise ConfigError(f"subnet {network} is too small to allocate from")
    return network


def _inside(network: Network, text: str, what: str) -> Address:
    address = address_of(text, what)
    if address not in network:
        raise ConfigError(f"{what} {address} is not in {network}")
    return address
