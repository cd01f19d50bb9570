"""Children of another link: vlan, macvlan, ipvlan. A kernel may lack any of these kinds.

Source: include/uapi/linux/if_link.h. A child is made in the namespace of its parent, under a temporary name, and
gets its name in the pod: many kernels refuse a name that the parent's namespace has too.
"""

from __future__ import annotations

import errno
import sys
from typing import ClassVar

from msgspec import Struct

from cni_runtime.net import codec, links
from cni_runtime.net.codec import Request
from cni_runtime.net.inspect import Link, find_link
from cni_runtime.net.plan import Place, Where
from cni_runtime.net.rtnl import LINK, Ifla, IflaInfo, Rtm
from cni_runtime.net.sockets import NetlinkError, NetlinkSocket, in_namespace

_CREATE = codec.CREATE | codec.EXCLUSIVE
_VLAN_ID = _MODE = 1
_BROADCAST_QUEUE = 7
_MODULES = {"vlan": "8021q"}

MACVLAN_MODES = {"private": 1, "vepa": 2, "bridge": 4, "passthru": 8}
IPVLAN_MODES = {"l2": 0, "l3": 1, "l3s": 2}


class Child(Struct, frozen=True):
    """A child to be. MTU in bytes, 0 or an empty MAC: the parent's or the kernel's choice.

    ``vlan`` is for kind vlan, ``mode`` for macvlan and ipvlan, ``broadcast_queue`` (packets, 0: the kernel's choice)
    for macvlan.
    """

    kind: str
    parent: str
    mtu: int = 0
    mac: str = ""
    vlan: int = 0
    mode: str = ""
    broadcast_queue: int = 0


class AddChild(Struct, frozen=True):
    """A child of a link that is in ``where``, to go into the pod under the name ``link``."""

    name: ClassVar[str] = "add_child"
    where: Where
    link: str
    child: Child

    def do(self, place: Place) -> None:
        netns = place.pod if self.where is Where.HOST else None
        request = add_child(self.link, self.child, place.index(self.child.parent), netns=netns)
        ask_for_kind(place.netlink, self.child.kind, request)

    def undo(self, place: Place) -> None:
        in_namespace(place.pod, self._delete)

    def _delete(self) -> None:
        with NetlinkSocket() as netlink:
            link = find_link(netlink, self.link)
            if link is not None:
                netlink.ask(links.delete_link(link.index))


class RenameLink(Struct, frozen=True):
    """Another name for a link in the pod that is down."""

    name: ClassVar[str] = "rename_link"
    where: ClassVar[Where] = Where.POD
    link: str
    to: str

    def do(self, place: Place) -> None:
        request = links.set_attributes(place.index(self.link), name=self.to)
        place.netlink.ask(request._replace(what=f"name the new link {self.to}"))

    def undo(self, place: Place) -> None:
        renamed = find_link(place.netlink, self.to)
        if renamed is None or find_link(place.netlink, self.link) is not None:
            return  # it was never renamed: a link of that name was there already
        place.netlink.run([links.set_up(renamed.index, up=False), links.set_attributes(renamed.index, name=self.link)])


def add_child(name: str, child: Child, parent: int, *, netns: int | None) -> Request:
    """Make ``child`` of the link of index ``parent``, into the namespace of that file descriptor; None: this one."""
    data = codec.nested(IflaInfo.DATA, *_data(child))
    body = LINK.pack(0, 0, 0, 0, 0) + codec.text(Ifla.IFNAME, name) + codec.u32(Ifla.LINK, parent)
    if child.mac:
        body += codec.mac(Ifla.ADDRESS, child.mac)
    if child.mtu:
        body += codec.u32(Ifla.MTU, child.mtu)
    if netns is not None:
        body += codec.u32(Ifla.NET_NS_FD, netns)
    body += codec.nested(Ifla.LINKINFO, codec.text(IflaInfo.KIND, child.kind), data)
    return Request(Rtm.NEWLINK, body, _CREATE, f"add {child.kind} to {child.parent}")


def ask_for_kind(netlink: NetlinkSocket, kind: str, request: Request) -> None:
    """Make a request for a link of ``kind``. Raises NetlinkError that names the kind if the kernel lacks it."""
    try:
        netlink.ask(request)
    except NetlinkError as exc:
        if exc.errno != errno.EOPNOTSUPP:
            raise
        module = _MODULES.get(kind, kind)
        message = f"the kernel has no links of type {kind}, which the module {module} would add (modprobe {module})"
        raise NetlinkError(exc.errno, message) from exc


def vlan_of(link: Link) -> int | None:
    """The VLAN of a link of kind vlan; None: it is of another kind."""
    return _first(link) if link.kind == "vlan" else None


def mode_of(link: Link) -> str:
    """The mode of a macvlan or ipvlan by name; empty for any other link or mode."""
    modes = {"macvlan": MACVLAN_MODES, "ipvlan": IPVLAN_MODES}.get(link.kind, {})
    number = _first(link)
    return next((name for name, value in modes.items() if value == number), "")


def _first(link: Link) -> int:
    """The attribute that is number 1 of every kind here: VLAN or mode."""
    value = codec.attributes(link.details).get(_MODE, b"")
    return int.from_bytes(value, sys.byteorder) if value else -1


def _data(child: Child) -> list[bytes]:
    if child.kind == "vlan":
        return [codec.u16(_VLAN_ID, child.vlan)]
    if child.kind == "ipvlan":
        return [codec.u16(_MODE, IPVLAN_MODES[child.mode])]
    queue = [codec.u32(_BROADCAST_QUEUE, child.broadcast_queue)] if child.broadcast_queue else []
    return [codec.u32(_MODE, MACVLAN_MODES[child.mode]), *queue]
