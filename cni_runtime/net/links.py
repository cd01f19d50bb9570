"""Requests that make, change and delete links. Pure: each function returns messages, none touches the kernel.

Source: rtnetlink(7), include/uapi/linux/{if_link,if_bridge}.h. MACs are in the form aa:bb:cc:dd:ee:ff, MTUs in
bytes; an MTU of 0 or an empty MAC leaves the choice to the kernel.
"""

from __future__ import annotations

import secrets
import struct
from collections.abc import Iterable

from cni_runtime.net import codec
from cni_runtime.net.codec import Request
from cni_runtime.net.rtnl import LINK, BridgeAfSpec, BridgeInfo, BridgePort, Iff, Ifla, IflaInfo, Rtm

_VLAN = struct.Struct("=HH")
_AF_BRIDGE = 7
_VETH_PEER = 1
_BRIDGE_FLAGS_MASTER = 1
_PVID, _UNTAGGED = 0x2, 0x4
_CREATE = codec.CREATE | codec.EXCLUSIVE


def random_mac() -> str:
    """A locally administered unicast address, as the kernel itself would make one."""
    first, *rest = secrets.token_bytes(6)
    return bytes([(first | 0x02) & 0xFE, *rest]).hex(":")


def random_veth_name() -> str:
    """A name for the host's end of a veth pair: ``veth`` and eight hexadecimal digits, as other plugins have it."""
    return f"veth{secrets.token_hex(4)}"


def add_bridge(name: str, *, mac: str = "", mtu: int = 0, vlan_filtering: bool = False) -> Request:
    """Make a bridge that is up. The kernel answers EEXIST when the name is taken."""
    data = codec.nested(IflaInfo.DATA, codec.u8(BridgeInfo.VLAN_FILTERING, 1)) if vlan_filtering else b""
    info = codec.nested(Ifla.LINKINFO, codec.text(IflaInfo.KIND, "bridge"), data)
    body = _link(0, up=True) + codec.text(Ifla.IFNAME, name) + _optional(mac, mtu) + info
    return Request(Rtm.NEWLINK, body, _CREATE, f"add bridge {name}{' with VLAN filtering' if vlan_filtering else ''}")


def enable_vlan_filtering(index: int) -> Request:
    """Make an existing bridge look at VLAN tags."""
    data = codec.nested(IflaInfo.DATA, codec.u8(BridgeInfo.VLAN_FILTERING, 1))
    info = codec.nested(Ifla.LINKINFO, codec.text(IflaInfo.KIND, "bridge"), data)
    return Request(Rtm.NEWLINK, _link(index) + info, what=f"enable VLAN filtering on link {index}")


def add_veth(
    name: str, peer: str, *, peer_netns: int | None, mac: str = "", peer_mac: str = "", mtu: int = 0, master: int = 0
) -> Request:
    """Make a veth pair: ``name`` here and up, in the bridge of index ``master`` if any; ``peer`` in ``peer_netns``.

    ``peer_netns`` is a file descriptor, None for this same namespace. EEXIST when either name is taken. The end that
    is here has no transmit queue, as other plugins make it.
    """
    where = b"" if peer_netns is None else codec.u32(Ifla.NET_NS_FD, peer_netns)
    other = _link(0) + codec.text(Ifla.IFNAME, peer) + _optional(peer_mac, mtu) + where
    data = codec.nested(IflaInfo.DATA, codec.nested(_VETH_PEER, other))
    info = codec.nested(Ifla.LINKINFO, codec.text(IflaInfo.KIND, "veth"), data)
    bridge = codec.u32(Ifla.MASTER, master) if master else b""
    own = codec.text(Ifla.IFNAME, name) + _optional(mac, mtu) + codec.u32(Ifla.TXQLEN, 0)
    body = _link(0, up=True) + own + bridge + info
    return Request(Rtm.NEWLINK, body, _CREATE, f"add veth {name} with peer {peer}")


def set_up(index: int, *, up: bool = True) -> Request:
    """Bring a link up or down."""
    return Request(Rtm.NEWLINK, _link(index, up=up), what=f"set link {index} {'up' if up else 'down'}")


def set_promiscuous(index: int, *, on: bool) -> Request:
    """Turn promiscuous mode on or off."""
    body = LINK.pack(0, 0, index, Iff.PROMISC if on else 0, Iff.PROMISC)
    return Request(Rtm.NEWLINK, body, what=f"set promiscuous mode of link {index}")


def set_attributes(index: int, *, mac: str = "", mtu: int = 0, name: str = "") -> Request:
    """Change what is given of a link."""
    label = codec.text(Ifla.IFNAME, name) if name else b""
    return Request(Rtm.NEWLINK, _link(index) + label + _optional(mac, mtu), what=f"change link {index}")


def move_to_netns(index: int, netns_fd: int, name: str = "") -> Request:
    """Move a link into another namespace, under a new name if given."""
    label = codec.text(Ifla.IFNAME, name) if name else b""
    body = _link(index) + codec.u32(Ifla.NET_NS_FD, netns_fd) + label
    return Request(Rtm.NEWLINK, body, what=f"move link {index} to another namespace")


def set_alias(index: int, alias: str) -> Request:
    """Give a link an alias, which is text for people and programs; empty: none."""
    body = _link(index) + codec.attribute(Ifla.IFALIAS, alias.encode())
    return Request(Rtm.NEWLINK, body, what=f"set alias of link {index}")


def delete_link(index: int) -> Request:
    """Delete a link; waits for an RCU grace period (tens of milliseconds) while it holds the kernel's link lock."""
    return Request(Rtm.DELLINK, _link(index), what=f"delete link {index}")


def set_group(index: int, group: int) -> Request:
    """Put a link into a group, for ``delete_group``."""
    return Request(Rtm.NEWLINK, _link(index) + codec.u32(Ifla.GROUP, group), what=f"set group of link {index}")


def delete_group(group: int) -> Request:
    """Delete all links of a group at once, for the price of one."""
    return Request(Rtm.DELLINK, _link(0) + codec.u32(Ifla.GROUP, group), what=f"delete links of group {group}")


def set_port(index: int, *, hairpin: bool, isolated: bool) -> Request:
    """Settings of a bridge port."""
    options = (codec.u8(BridgePort.HAIRPIN, hairpin), codec.u8(BridgePort.ISOLATED, isolated))
    body = LINK.pack(_AF_BRIDGE, 0, index, 0, 0) + codec.nested(Ifla.PROTINFO, *options)
    return Request(Rtm.SETLINK, body, what=f"set bridge port {index}")


def add_port_vlan(index: int, vlan: int, *, native: bool) -> Request:
    """Let a VLAN through a bridge port; ``native``: untagged, and for what comes in without a tag."""
    flags = _PVID | _UNTAGGED if native else 0
    return Request(Rtm.SETLINK, _port_vlan(index, vlan, flags), what=f"add VLAN {vlan} to bridge port {index}")


def delete_port_vlan(index: int, vlan: int) -> Request:
    """Take a VLAN off a bridge port; ENOENT when it is not there."""
    return Request(Rtm.DELLINK, _port_vlan(index, vlan, 0), what=f"delete VLAN {vlan} of bridge port {index}")


def _port_vlan(index: int, vlan: int, flags: int) -> bytes:
    entry = codec.attribute(BridgeAfSpec.VLAN_INFO, _VLAN.pack(flags, vlan))
    spec = codec.nested(Ifla.AF_SPEC, codec.u16(BridgeAfSpec.FLAGS, _BRIDGE_FLAGS_MASTER), entry)
    return LINK.pack(_AF_BRIDGE, 0, index, 0, 0) + spec


def _link(index: int, *, up: bool | None = None) -> bytes:
    return LINK.pack(0, 0, index, Iff.UP if up else 0, 0 if up is None else Iff.UP)


def _optional(mac: str, mtu: int) -> bytes:
    parts: Iterable[bytes] = (
        codec.mac(Ifla.ADDRESS, mac) if mac else b"",
        codec.u32(Ifla.MTU, mtu) if mtu else b"",
    )
    return b"".join(parts)
