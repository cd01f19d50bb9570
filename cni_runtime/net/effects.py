"""The effects that plugins' plans are made of: values whose ``do`` is the only place that touches the kernel."""

from __future__ import annotations

import errno
from typing import ClassVar

from msgspec import Struct

from cni_runtime.net import addresses, links, routes, sysctl
from cni_runtime.net.codec import Request
from cni_runtime.net.inspect import find_link
from cni_runtime.net.nft import Element, OwnedTable, Owner
from cni_runtime.net.plan import Place, Where
from cni_runtime.net.routes import RouteSpec
from cni_runtime.net.sockets import NetlinkError


class _Lasting(Struct, frozen=True):
    """An effect whose undo is nothing: it is shared, or it goes with the link that it was done to."""

    def undo(self, place: Place) -> None:
        """Nothing."""


class AddBridge(_Lasting, frozen=True):
    """A bridge that is up, with its MAC pinned; one that another has just made is as good. It is shared."""

    name: ClassVar[str] = "add_bridge"
    where: ClassVar[Where] = Where.HOST
    link: str
    mac: str
    mtu: int = 0
    vlan_filtering: bool = False

    def do(self, place: Place) -> None:
        request = links.add_bridge(self.link, mac=self.mac, mtu=self.mtu, vlan_filtering=self.vlan_filtering)
        _tolerating(place, errno.EEXIST, request)


class ChangeLink(_Lasting, frozen=True):
    """Attributes of a link that is there; None, 0 or empty leaves one as it is."""

    name: ClassVar[str] = "change_link"
    where: Where
    link: str
    up: bool | None = None
    promiscuous: bool | None = None
    vlan_filtering: bool = False
    mac: str = ""
    mtu: int = 0

    def do(self, place: Place) -> None:
        index = place.index(self.link)
        requests: list[Request] = []
        if self.mac or self.mtu:
            requests.append(links.set_attributes(index, mac=self.mac, mtu=self.mtu))
        if self.vlan_filtering:
            requests.append(links.enable_vlan_filtering(index))
        if self.promiscuous is not None:
            requests.append(links.set_promiscuous(index, on=self.promiscuous))
        if self.up is not None:
            requests.append(links.set_up(index, up=self.up))
        place.netlink.run(requests)


class AddVeth(Struct, frozen=True):
    """A veth pair: the host's end, up and in bridge ``master`` if that is given, and the end ``peer``.

    With ``peer_in_pod`` False both ends are on the host. The host's MAC is chosen here, so that the undo can tell
    this pair from another one that took the same name. A ``lasting`` pair is shared, and stays.
    """

    name: ClassVar[str] = "add_veth"
    where: ClassVar[Where] = Where.HOST
    link: str
    peer: str
    mac: str
    peer_mac: str = ""
    mtu: int = 0
    master: str = ""
    peer_in_pod: bool = True
    lasting: bool = False

    def do(self, place: Place) -> None:
        request = links.add_veth(
            self.link,
            self.peer,
            peer_netns=place.pod if self.peer_in_pod else None,
            mac=self.mac,
            peer_mac=self.peer_mac,
            mtu=self.mtu,
            master=place.index(self.master) if self.master else 0,
        )
        place.netlink.ask(request)

    def undo(self, place: Place) -> None:
        if self.lasting:
            return
        found = find_link(place.netlink, self.link)
        if found is not None and found.mac == self.mac:
            place.netlink.ask(links.delete_link(found.index))


class ConfigurePort(_Lasting, frozen=True):
    """Settings of a bridge port. ``drop_vlan`` is taken off, ``native_vlan`` and ``vlans`` are let through; 0: none."""

    name: ClassVar[str] = "configure_port"
    where: ClassVar[Where] = Where.HOST
    link: str
    hairpin: bool = False
    isolated: bool = False
    drop_vlan: int = 0
    native_vlan: int = 0
    vlans: tuple[int, ...] = ()

    def do(self, place: Place) -> None:
        index = place.index(self.link)
        if self.drop_vlan:
            _tolerating(place, errno.ENOENT, links.delete_port_vlan(index, self.drop_vlan))
        requests = [links.add_port_vlan(index, vlan, native=False) for vlan in self.vlans]
        if self.native_vlan:
            requests.append(links.add_port_vlan(index, self.native_vlan, native=True))
        if self.hairpin or self.isolated:
            requests.append(links.set_port(index, hairpin=self.hairpin, isolated=self.isolated))
        place.netlink.run(requests)


class SetSysctls(_Lasting, frozen=True):
    """Sysctls by key; with ``required`` False one that cannot be set is passed over."""

    name: ClassVar[str] = "set_sysctls"
    where: Where
    values: tuple[tuple[str, str], ...]
    required: bool = False

    def do(self, place: Place) -> None:
        for key, value in self.values:
            try:
                sysctl.write(key, value)
            except OSError:
                if self.required:
                    raise


class Configure(_Lasting, frozen=True):
    """Addresses for a link, then up, then routes through it; what is there already is as good when ``shared``."""

    name: ClassVar[str] = "configure"
    where: Where
    link: str
    addresses: tuple[str, ...] = ()
    remove_addresses: tuple[str, ...] = ()
    routes: tuple[RouteSpec, ...] = ()
    remove_routes: tuple[RouteSpec, ...] = ()
    nodad: bool = True
    up: bool = True
    shared: bool = False

    def do(self, place: Place) -> None:
        index = place.index(self.link)
        for address in self.remove_addresses:
            _tolerating(place, errno.EADDRNOTAVAIL, addresses.delete_address(index, address))
        if self.shared:
            for address in self.addresses:
                _tolerating(place, errno.EEXIST, addresses.add_address(index, address, nodad=self.nodad))
        requests = [] if self.shared else [addresses.add_address(index, a, nodad=self.nodad) for a in self.addresses]
        if self.up:
            requests.append(links.set_up(index))
        requests += [routes.delete_route(index, route) for route in self.remove_routes]
        requests += [routes.add_route(index, route) for route in self.routes]
        place.netlink.run(requests)


class AddElements(Struct, frozen=True):
    """What ``owner`` has in a table of ours; an element another owner held changes hands with ``take``."""

    name: ClassVar[str] = "add_elements"
    where: ClassVar[Where] = Where.HOST
    table: OwnedTable
    owner: Owner
    elements: tuple[Element, ...]
    take: bool = False

    def do(self, place: Place) -> None:
        self.table.put(self.owner, self.elements, take=self.take)

    def undo(self, place: Place) -> None:
        self.table.drop(self.owner)


def _tolerating(place: Place, code: int, request: Request) -> None:
    try:
        place.netlink.ask(request)
    except NetlinkError as exc:
        if exc.errno != code:
            raise
