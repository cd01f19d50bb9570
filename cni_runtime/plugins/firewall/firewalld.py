"""firewalld: a pod's addresses as sources of a zone, for the time until firewalld is started again. Blocks."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from ipaddress import ip_network

from cni_runtime.net.dbus import Bus, DbusError, Service

_NAME = "org.fedoraproject.FirewallD1"
_ZONES = Service(_NAME, "/org/fedoraproject/FirewallD1", f"{_NAME}.zone")


def is_running() -> bool:
    """Whether firewalld is on the bus."""
    try:
        with Bus() as bus:
            return bus.has(_NAME)
    except DbusError:
        return False


def add_to_zone(zone: str, addresses: Iterable[str]) -> None:
    """Make addresses sources of a zone. Raises DbusError, among others when one is in another zone."""
    with Bus() as bus:
        for source in map(_source, addresses):
            if bus.call(_ZONES, "querySource", zone, source) is not True:
                bus.call(_ZONES, "addSource", zone, source)


def remove_from_zone(zone: str, addresses: Iterable[str]) -> None:
    """Take addresses out of a zone. Does what it can: firewalld may be gone, or never have known them."""
    with suppress(DbusError), Bus() as bus:
        for source in map(_source, addresses):
            with suppress(DbusError):
                bus.call(_ZONES, "removeSource", zone, source)


def is_in_zone(zone: str, address: str) -> bool:
    """Whether an address is a source of a zone. Raises DbusError."""
    with Bus() as bus:
        return bus.call(_ZONES, "querySource", zone, _source(address)) is True


def _source(address: str) -> str:
    return str(ip_network(address))
