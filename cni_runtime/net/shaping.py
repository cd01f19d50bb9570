"""Effects that limit what a link sends and receives. What it receives is limited on its way through an ifb."""

from __future__ import annotations

from typing import ClassVar

from msgspec import Struct

from cni_runtime.net import codec, links, tc
from cni_runtime.net.children import ask_for_kind
from cni_runtime.net.codec import Request
from cni_runtime.net.ifreq import link_index
from cni_runtime.net.inspect import find_link
from cni_runtime.net.plan import Place, Where
from cni_runtime.net.rtnl import LINK, Iff, Ifla, IflaInfo, Rtm
from cni_runtime.net.sockets import NetlinkSocket
from cni_runtime.net.tc import TokenBucket

_MAX_ALIAS = 255


class AddIfb(Struct, frozen=True):
    """An ifb that is up and keeps no queue of its own; ``alias`` says whose it is. The MAC is for the undo to know it.

    An alias that is too long for the kernel is left out.
    """

    name: ClassVar[str] = "add_ifb"
    where: ClassVar[Where] = Where.HOST
    link: str
    mac: str
    mtu: int
    alias: str

    def do(self, place: Place) -> None:
        ask_for_kind(place.netlink, "ifb", add_ifb(self.link, mac=self.mac, mtu=self.mtu))
        if len(self.alias) <= _MAX_ALIAS:
            place.netlink.ask(links.set_alias(place.index(self.link), self.alias))

    def undo(self, place: Place) -> None:
        found = find_link(place.netlink, self.link)
        if found is not None and found.mac == self.mac:
            place.netlink.ask(links.delete_link(found.index))


class LimitSending(Struct, frozen=True):
    """A limit for what a link sends; the link has none yet."""

    name: ClassVar[str] = "limit_sending"
    where: ClassVar[Where] = Where.HOST
    link: str
    bucket: TokenBucket

    def do(self, place: Place) -> None:
        tc.ask(place.netlink, tc.add_token_bucket(place.index(self.link), self.bucket), "sch_tbf")

    def undo(self, place: Place) -> None:
        delete_qdisc(place.netlink, self.link, "tbf")


class RedirectReceived(Struct, frozen=True):
    """All that ``link`` receives goes through the ifb ``through``; the link has no ingress qdisc yet."""

    name: ClassVar[str] = "redirect_received"
    where: ClassVar[Where] = Where.HOST
    link: str
    through: str

    def do(self, place: Place) -> None:
        index = place.index(self.link)
        tc.ask(place.netlink, tc.add_ingress(index), "sch_ingress")
        tc.ask(place.netlink, tc.add_redirect(index, place.index(self.through)), "cls_u32 or act_mirred")

    def undo(self, place: Place) -> None:
        delete_qdisc(place.netlink, self.link, "ingress")


def delete_qdisc(netlink: NetlinkSocket, link: str, kind: str) -> None:
    """Delete the qdiscs of that kind from a link, if both are there. Raises OSError."""
    index = link_index(netlink, link)
    if index is not None:
        found = (qdisc for qdisc in tc.list_qdiscs(netlink, index) if qdisc.kind == kind)
        netlink.run([tc.delete_qdisc(index, qdisc.parent) for qdisc in found])


def add_ifb(name: str, *, mac: str, mtu: int) -> Request:
    """Make an ifb. EEXIST when the name is taken."""
    body = LINK.pack(0, 0, 0, Iff.UP, Iff.UP) + codec.text(Ifla.IFNAME, name)
    body += codec.mac(Ifla.ADDRESS, mac)
    body += codec.u32(Ifla.MTU, mtu) + codec.u32(Ifla.TXQLEN, 0)
    body += codec.nested(Ifla.LINKINFO, codec.text(IflaInfo.KIND, "ifb"))
    return Request(Rtm.NEWLINK, body, codec.CREATE | codec.EXCLUSIVE, f"add ifb {name}")
