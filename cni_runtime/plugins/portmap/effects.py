"""What an ADD of portmap does to the kernel."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import ClassVar

from msgspec import Struct

from cni_runtime.net.conntrack import Connection, connections_to, forget
from cni_runtime.net.inspect import list_addresses
from cni_runtime.net.netfilter import Netfilter
from cni_runtime.net.nft import Element, OwnedTable, Owner, Rival
from cni_runtime.net.plan import Place, Where
from cni_runtime.plugins.portmap.config import PROTOCOLS, Forward

Choice = Callable[[Forward, Connection], bool]
log = logging.getLogger(__name__)


class ForwardPorts(Struct, frozen=True):
    """What ``owner``, who lives in ``netns``, has in the table; ``rival`` finds what stands in the way."""

    name: ClassVar[str] = "forward_ports"
    where: ClassVar[Where] = Where.HOST
    table: OwnedTable
    owner: Owner
    elements: tuple[Element, ...]
    netns: str
    rival: Rival

    def is_done(self) -> bool:
        """Whether the kernel has just that. Blocks."""
        holding = self.table.holding(self.owner)
        return holding is not None and holding.elements == self.elements and self.table.in_force(self.owner)

    def do(self, place: Place) -> None:
        # The ports are nobody else's by now; what else another owner has was left by one who had the pod's address.
        self.table.put(self.owner, self.elements, take=True, netns=self.netns, rival=self.rival)

    def undo(self, place: Place) -> None:
        self.table.drop(self.owner)


class ForgetConnections(Struct, frozen=True):
    """UDP connections to the ports that lead elsewhere: without this the kernel would keep them there."""

    name: ClassVar[str] = "forget_connections"
    where: ClassVar[Where] = Where.HOST
    netfilter: Netfilter
    forwards: tuple[Forward, ...]

    def do(self, place: Place) -> None:
        local = {address.address.partition("/")[0] for address in list_addresses(place.netlink)}
        forget_udp(self.netfilter, self.forwards, lambda forward, one: _is_stale(forward, one, local))

    def undo(self, place: Place) -> None:
        """Nothing."""


def forget_udp(netfilter: Netfilter, forwards: tuple[Forward, ...], choose: Choice) -> None:
    """Forget the UDP connections that ``choose`` picks. Failing is worth a warning: they time out by themselves."""
    try:
        for family in (4, 6):
            udp = [forward for forward in forwards if (forward.protocol, forward.family) == ("udp", family)]
            if udp:
                _forget(netfilter, udp, family, choose)
    except OSError as exc:
        log.warning("stale UDP connections to ports of %s may remain: %s", {one.pod for one in forwards}, exc)


def _forget(netfilter: Netfilter, udp: list[Forward], family: int, choose: Choice) -> None:
    ports = {forward.host_port for forward in udp}
    with netfilter.open() as socket:
        for connection in connections_to(socket, family, PROTOCOLS["udp"], ports):
            to_port = (forward for forward in udp if forward.host_port == connection.destination_port)
            if any(choose(forward, connection) for forward in to_port):
                forget(socket, connection)


def _is_stale(forward: Forward, connection: Connection, local: set[str]) -> bool:
    """Whether it was made to this port of the host and leads elsewhere."""
    here = forward.host == connection.destination if forward.host else _is_local(connection.destination, local)
    return here and connection.replies_from != forward.pod


def _is_local(address: str, local: set[str]) -> bool:
    return address in local or address.startswith("127.")
