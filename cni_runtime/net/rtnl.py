"""Numbers and headers of rtnetlink, under the kernel's names.

Source: include/uapi/linux/{rtnetlink,if_link,if_addr,fib_rules}.h.
"""

from __future__ import annotations

import struct
from enum import IntEnum

LINK = struct.Struct("=BxHiII")
"""Family, type of device, index, flags, which of them are meant."""
ADDRESS = struct.Struct("=BBBBI")
"""Family, prefix length, flags, scope, index of the link."""
ROUTE = struct.Struct("=BBBBBBBBI")
"""Family, prefix lengths of destination and source, TOS, table, protocol, scope, type, flags.

A rule has two unused bytes instead of protocol and scope, and its action instead of the type.
"""


class Rtm(IntEnum):
    """Message types."""

    NEWLINK = 16
    DELLINK = 17
    GETLINK = 18
    SETLINK = 19
    NEWADDR = 20
    DELADDR = 21
    GETADDR = 22
    NEWROUTE = 24
    DELROUTE = 25
    GETROUTE = 26
    NEWNEIGH = 28
    DELNEIGH = 29
    GETNEIGH = 30
    NEWRULE = 32
    DELRULE = 33
    GETRULE = 34
    NEWQDISC = 36
    DELQDISC = 37
    GETQDISC = 38
    NEWTCLASS = 40
    DELTCLASS = 41
    NEWTFILTER = 44
    DELTFILTER = 45
    GETTFILTER = 46
    GETNSID = 90


class Iff(IntEnum):
    """Flags of a link. Source: include/uapi/linux/if.h."""

    UP = 1 << 0
    PROMISC = 1 << 8
    ALLMULTI = 1 << 9


class Ifla(IntEnum):
    """Attributes of a link."""

    ADDRESS = 1
    BROADCAST = 2
    IFNAME = 3
    MTU = 4
    LINK = 5
    MASTER = 10
    PROTINFO = 12
    TXQLEN = 13
    OPERSTATE = 16
    LINKINFO = 18
    NET_NS_PID = 19
    IFALIAS = 20
    AF_SPEC = 26
    GROUP = 27
    NET_NS_FD = 28
    EXT_MASK = 29
    PROMISCUITY = 30
    LINK_NETNSID = 37


class IflaInfo(IntEnum):
    """Attributes nested in Ifla.LINKINFO."""

    KIND = 1
    DATA = 2


class BridgeInfo(IntEnum):
    """Attributes nested in IflaInfo.DATA of a bridge."""

    VLAN_FILTERING = 7
    DEFAULT_PVID = 39


class BridgePort(IntEnum):
    """Attributes nested in Ifla.PROTINFO of a bridge port."""

    HAIRPIN = 4
    ISOLATED = 33


class BridgeAfSpec(IntEnum):
    """Attributes nested in Ifla.AF_SPEC of a bridge port."""

    FLAGS = 0
    VLAN_INFO = 2


class Ifa(IntEnum):
    """Attributes of an address."""

    ADDRESS = 1
    LOCAL = 2
    LABEL = 3
    BROADCAST = 4
    FLAGS = 8


class Rta(IntEnum):
    """Attributes of a route."""

    DST = 1
    SRC = 2
    IIF = 3
    OIF = 4
    GATEWAY = 5
    PRIORITY = 6
    PREFSRC = 7
    METRICS = 8
    MULTIPATH = 9
    TABLE = 15


class Rtax(IntEnum):
    """Attributes nested in Rta.METRICS."""

    MTU = 2
    ADVMSS = 8


class NetnsAttribute(IntEnum):
    """Attributes of a namespace id message."""

    NSID = 1
    PID = 2
    FD = 3
