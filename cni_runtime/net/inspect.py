"""What the kernel says about a network namespace: links, addresses, routes, and where a veth leads. Read only."""

from __future__ import annotations

import errno
import ipaddress
import socket
import sys
from collections.abc import Iterable
from pathlib import Path

import anyio.to_thread
from msgspec import Struct

from cni_runtime.net import codec
from cni_runtime.net.codec import Reply, Request, attributes, get_text, get_u32
from cni_runtime.net.routes import MAIN_TABLE
from cni_runtime.net.rtnl import (
    ADDRESS,
    LINK,
    ROUTE,
    BridgeInfo,
    Ifa,
    Iff,
    Ifla,
    IflaInfo,
    NetnsAttribute,
    Rta,
    Rtax,
    Rtm,
)
from cni_runtime.net.sockets import NetlinkSocket, in_namespace, opened

_STATES = ("unknown", "notpresent", "down", "lowerlayerdown", "testing", "dormant", "up")
# Without the statistics, which are half of what the kernel says of a link.
_BRIEF = codec.u32(Ifla.EXT_MASK, 1 << 3)


class Link(Struct, frozen=True):
    """One interface. ``state`` is the operational state; ``admin_up`` what was asked for.

    ``peer_index`` is the index of a veth's other end (or a vlan's parent), in the namespace that has the id
    ``peer_nsid`` here; None there means in this same namespace. ``master`` is the index of its bridge.
    ``vlan_filtering`` and ``default_vlan`` (of new ports, 0: none) are a bridge's. ``details`` are the attributes of
    the link's kind as the kernel gave them, ``queue_length`` is in packets.
    """

    name: str
    index: int
    mac: str = ""
    mtu: int = 0
    kind: str = ""
    state: str = "unknown"
    admin_up: bool = False
    promiscuous: bool = False
    peer_index: int | None = None
    peer_nsid: int | None = None
    master: int | None = None
    alias: str = ""
    vlan_filtering: bool = False
    default_vlan: int = 0
    all_multicast: bool = False
    queue_length: int = 0
    details: bytes = b""


class Address(Struct, frozen=True):
    """One address of a link, ``address`` in the form 10.1.2.3/24. ``flags`` are the kernel's IFA_F_ bits."""

    link: int
    address: str
    scope: int = 0
    flags: int = 0


class Route(Struct, frozen=True):
    """One route. ``destination`` is 0.0.0.0/0 or ::/0 for a default route, ``gateway`` empty when on the link."""

    destination: str
    gateway: str = ""
    link: int | None = None
    source: str = ""
    table: int = MAIN_TABLE
    priority: int = 0
    scope: int = 0
    protocol: int = 0
    type: int = 1
    mtu: int = 0
    advmss: int = 0


class NetnsView(Struct, frozen=True):
    """All of one namespace. ``path`` None is the namespace of this process."""

    path: str | None
    inode: int
    links: tuple[Link, ...] = ()
    addresses: tuple[Address, ...] = ()
    routes: tuple[Route, ...] = ()

    def link(self, name: str) -> Link | None:
        """The link of that name."""
        return next((link for link in self.links if link.name == name), None)

    def addresses_of(self, link: Link) -> tuple[Address, ...]:
        """The addresses of one link."""
        return tuple(address for address in self.addresses if address.link == link.index)


class HostLinks(Struct, frozen=True):
    """Where a pod's interface leads on the host: the host end of the veth, its bridge, the bridge's addresses."""

    veth: Link
    bridge: Link | None = None
    addresses: tuple[Address, ...] = ()


async def inspect_netns(path: str | None = None) -> NetnsView:
    """All links, addresses and main-table routes of the namespace at ``path``; None: of this process.

    Raises OSError (FileNotFoundError: there is no such namespace).
    """
    return await anyio.to_thread.run_sync(read_netns, path)


async def inspect_host_links(netns: str, ifname: str) -> HostLinks | None:
    """The host's side of the veth ``ifname`` in the namespace ``netns``; None when it is no veth or not there.

    Raises OSError.
    """
    return await anyio.to_thread.run_sync(read_host_links, netns, ifname)


def read_netns(path: str | None = None, table: int = MAIN_TABLE) -> NetnsView:
    """The blocking form of ``inspect_netns``, with the routes of ``table`` (0: all)."""
    with opened(path or "/proc/thread-self/ns/net") as fd:
        inode = Path(f"/proc/self/fd/{fd}").stat().st_ino
        with in_namespace(fd if path else None, NetlinkSocket) as nl:
            return NetnsView(path, inode, list_links(nl), list_addresses(nl), list_routes(nl, table))


def read_host_links(netns: str, ifname: str) -> HostLinks | None:
    """The blocking form of ``inspect_host_links``."""
    with opened(netns) as fd:
        with in_namespace(fd, NetlinkSocket) as pod:
            inside = find_link(pod, ifname)
        if inside is None:
            return None
        with NetlinkSocket() as nl:
            veth = host_end(nl, fd, inside)
            if veth is None:
                return None
            bridge = get_link(nl, veth.master) if veth.master else None
            return HostLinks(veth, bridge, list_addresses(nl, bridge.index) if bridge else ())


def host_end(nl: NetlinkSocket, netns_fd: int, inside: Link) -> Link | None:
    """The other end of the veth ``inside`` in the namespace; None when it is no veth, or its other end is not here."""
    veth = get_link(nl, inside.peer_index) if inside.kind == "veth" and inside.peer_index else None
    if veth is not None and (veth.peer_index, veth.peer_nsid) == (inside.index, nsid_of(nl, netns_fd)):
        return veth
    return None


def nsid_of(nl: NetlinkSocket, netns_fd: int) -> int | None:
    """The id that the socket's namespace has for another one; None: it has none."""
    request = Request(Rtm.GETNSID, bytes(4) + codec.u32(NetnsAttribute.FD, netns_fd), what="get namespace id")
    nsid = get_u32(attributes(nl.ask(request)[0].body, 4), NetnsAttribute.NSID)
    return None if nsid in (None, 0xFFFFFFFF) else nsid


def find_link(nl: NetlinkSocket, name: str) -> Link | None:
    """The link of that name, or None."""
    body = LINK.pack(0, 0, 0, 0, 0) + codec.text(Ifla.IFNAME, name) + _BRIEF
    reply = _answer(nl, Request(Rtm.GETLINK, body, what=f"get link {name}"))
    return None if reply is None else link_of(reply)


def get_link(nl: NetlinkSocket, index: int) -> Link | None:
    """The link of that index, or None."""
    reply = _answer(nl, Request(Rtm.GETLINK, LINK.pack(0, 0, index, 0, 0) + _BRIEF, what=f"get link {index}"))
    return None if reply is None else link_of(reply)


def _answer(nl: NetlinkSocket, request: Request) -> Reply | None:
    try:
        return nl.ask(request)[0]
    except OSError as exc:
        if exc.errno in (errno.ENODEV, errno.EINVAL):  # EINVAL: an index of 0
            return None
        raise


def list_links(nl: NetlinkSocket) -> tuple[Link, ...]:
    """Every link of the namespace."""
    replies = nl.ask(Request(Rtm.GETLINK, LINK.pack(0, 0, 0, 0, 0) + _BRIEF, codec.DUMP, "list links"))
    return tuple(map(link_of, replies))


def list_addresses(nl: NetlinkSocket, link: int = 0) -> tuple[Address, ...]:
    """The addresses of one link by index, or of all."""
    replies = nl.ask(Request(Rtm.GETADDR, ADDRESS.pack(0, 0, 0, 0, link), codec.DUMP, "list addresses"))
    return tuple(map(_address_of, replies))


def list_routes(nl: NetlinkSocket, table: int = MAIN_TABLE) -> tuple[Route, ...]:
    """The routes of both families in ``table`` (0: all)."""
    found: list[Route] = []
    for family in (socket.AF_INET, socket.AF_INET6):
        body = ROUTE.pack(family, 0, 0, 0, 0, 0, 0, 0, 0)
        replies: Iterable[Reply] = nl.ask(Request(Rtm.GETROUTE, body, codec.DUMP, "list routes"))
        found += (route for route in map(_route_of, replies) if table in (0, route.table))
    return tuple(found)


def link_of(reply: Reply) -> Link:
    """The link that a NEWLINK message tells of."""
    _, _, index, flags, _ = LINK.unpack_from(reply.body)
    found = attributes(reply.body, LINK.size)
    info = attributes(found.get(Ifla.LINKINFO, b""))
    kind = get_text(info, IflaInfo.KIND)
    details = info.get(IflaInfo.DATA, b"")
    bridge = attributes(details) if kind == "bridge" else {}
    state = found.get(Ifla.OPERSTATE, b"\0")[0]
    return Link(
        name=get_text(found, Ifla.IFNAME),
        index=index,
        mac=found.get(Ifla.ADDRESS, b"").hex(":"),
        mtu=get_u32(found, Ifla.MTU) or 0,
        kind=kind,
        state=_STATES[state] if state < len(_STATES) else "unknown",
        admin_up=bool(flags & Iff.UP),
        promiscuous=bool(get_u32(found, Ifla.PROMISCUITY)),
        peer_index=get_u32(found, Ifla.LINK) or None,
        peer_nsid=get_u32(found, Ifla.LINK_NETNSID),
        master=get_u32(found, Ifla.MASTER),
        alias=get_text(found, Ifla.IFALIAS),
        vlan_filtering=bridge.get(BridgeInfo.VLAN_FILTERING, b"\0") != b"\0",
        default_vlan=int.from_bytes(bridge.get(BridgeInfo.DEFAULT_PVID, b""), sys.byteorder),
        all_multicast=bool(flags & Iff.ALLMULTI),
        queue_length=get_u32(found, Ifla.TXQLEN) or 0,
        details=details,
    )


def _address_of(reply: Reply) -> Address:
    _, prefix, flags, scope, index = ADDRESS.unpack_from(reply.body)
    found = attributes(reply.body, ADDRESS.size)
    own = found.get(Ifa.LOCAL) or found[Ifa.ADDRESS]
    return Address(index, f"{_ip(own)}/{prefix}", scope, get_u32(found, Ifa.FLAGS) or flags)


def _route_of(reply: Reply) -> Route:
    family, length, _, _, table, protocol, scope, kind, _ = ROUTE.unpack_from(reply.body)
    found = attributes(reply.body, ROUTE.size)
    unspecified = bytes(4 if family == socket.AF_INET else 16)
    metrics = attributes(found.get(Rta.METRICS, b""))
    return Route(
        destination=f"{_ip(found.get(Rta.DST, unspecified))}/{length}",
        gateway=_ip(found[Rta.GATEWAY]) if Rta.GATEWAY in found else "",
        link=get_u32(found, Rta.OIF),
        source=_ip(found[Rta.PREFSRC]) if Rta.PREFSRC in found else "",
        table=get_u32(found, Rta.TABLE) or table,
        priority=get_u32(found, Rta.PRIORITY) or 0,
        scope=scope,
        protocol=protocol,
        type=kind,
        mtu=get_u32(metrics, Rtax.MTU) or 0,
        advmss=get_u32(metrics, Rtax.ADVMSS) or 0,
    )


def _ip(packed: bytes) -> str:
    return str(ipaddress.ip_address(packed))
