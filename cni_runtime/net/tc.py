"""Traffic control: token buckets, and the way of what a link receives through another link.

Requests are pure; the functions that take a socket ask the kernel. Source: tc(8), include/uapi/linux/pkt_sched.h and
pkt_cls.h.
"""

from __future__ import annotations

import errno
import functools
import socket
import struct
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from msgspec import Struct

from cni_runtime.net import codec
from cni_runtime.net.codec import Request
from cni_runtime.net.rtnl import Rtm
from cni_runtime.net.sockets import NetlinkError, NetlinkSocket

ROOT, INGRESS = 0xFFFFFFFF, 0xFFFFFFF1
_ROOT_HANDLE, _INGRESS_HANDLE = 0x0001_0000, 0xFFFF_0000
_CLASS = 0x0001_0001
_ALL_PROTOCOLS = 0x0003
_EGRESS_REDIRECT, _STOLEN = 1, 4
_MASK32 = 2**32 - 1
_MICROSECONDS = 1_000_000
_CREATE = codec.CREATE | codec.EXCLUSIVE
_TC = struct.Struct("=BxxxiIII")


class TokenBucket(Struct, frozen=True):
    """Parameters of a tbf qdisc: ``rate`` in bytes/s, ``limit`` of its queue in bytes, ``buffer`` in kernel ticks."""

    rate: int
    limit: int
    buffer: int


class Qdisc(Struct, frozen=True):
    """A queueing discipline of a link; ``bucket`` only of one of kind tbf."""

    kind: str
    parent: int
    bucket: TokenBucket | None = None


def token_bucket(rate: int, burst: int, latency: float, ticks: float) -> TokenBucket:
    """The bucket for ``rate`` bits/s with ``burst`` bits, whose queue holds what passes in ``latency`` seconds besides.

    ``ticks`` are the kernel's in a microsecond, see ``ticks_per_microsecond``. The kernel's fields have 32 bits; what
    is larger wraps around, as it does with other programs that set the same limit, so that each can check what the
    other made.
    """
    per_second, size = rate // 8, burst // 8
    fill_time = int(size * _MICROSECONDS / per_second) & _MASK32
    queue = int(per_second * (latency * _MICROSECONDS) / _MICROSECONDS)
    return TokenBucket(per_second, (queue + size) & _MASK32, int(fill_time * ticks) & _MASK32)


@functools.cache
def ticks_per_microsecond() -> float:
    """Kernel ticks in a microsecond, by /proc/net/psched. Raises OSError."""
    ticks, nanoseconds, resolution = (int(field, 16) for field in Path("/proc/net/psched").read_text().split()[:3])
    return ticks / nanoseconds * (resolution / _MICROSECONDS)


def add_token_bucket(index: int, bucket: TokenBucket) -> Request:
    """Limit what the link sends. EEXIST when it has a root qdisc other than the default one."""
    wire = _wire()
    parameters = {"rate": bucket.rate & _MASK32, "limit": bucket.limit, "buffer": bucket.buffer}
    options: list[tuple[str, Any]] = [("TCA_TBF_PARMS", parameters)]
    if bucket.rate > _MASK32:
        options.append(("TCA_TBF_RATE64", bucket.rate))
    body = wire.encode_traffic_control(
        [("TCA_KIND", "tbf"), ("TCA_OPTIONS", wire.nested(options))],
        index=index,
        handle=_ROOT_HANDLE,
        parent=ROOT,
    )
    return Request(Rtm.NEWQDISC, body, _CREATE, f"add qdisc tbf to link {index}")


def add_ingress(index: int) -> Request:
    """Let filters see what the link receives. EEXIST when they do already."""
    body = _TC.pack(0, index, _INGRESS_HANDLE, INGRESS, 0) + codec.text(1, "ingress")
    return Request(Rtm.NEWQDISC, body, _CREATE, f"add qdisc ingress to link {index}")


def add_redirect(index: int, target: int) -> Request:
    """Send all that the link receives out of the link ``target``; an ifb gives it back to where it came from."""
    wire = _wire()
    parameters = {"eaction": _EGRESS_REDIRECT, "action": _STOLEN, "ifindex": target}
    redirect = [("TCA_ACT_KIND", "mirred"), ("TCA_ACT_OPTIONS", wire.nested([("TCA_MIRRED_PARMS", parameters)]))]
    options = [
        ("TCA_U32_CLASSID", _CLASS),
        ("TCA_U32_SEL", {"keys": ["0x0/0x0+0"]}),
        ("TCA_U32_ACT", wire.nested([("TCA_ACT_PRIO_1", wire.nested(redirect))])),
    ]
    body = wire.encode_traffic_control(
        [("TCA_KIND", "u32"), ("TCA_OPTIONS", wire.nested(options))],
        index=index,
        parent=_INGRESS_HANDLE,
        info=1 << 16 | socket.htons(_ALL_PROTOCOLS),
    )
    return Request(Rtm.NEWTFILTER, body, _CREATE, f"redirect what link {index} receives to link {target}")


def delete_qdisc(index: int, parent: int) -> Request:
    """Delete a qdisc, with its filters, by where it is: ROOT or INGRESS. ENOENT or EINVAL when there is none."""
    return Request(Rtm.DELQDISC, _TC.pack(0, index, 0, parent, 0), what=f"delete qdisc of link {index}")


def ask(netlink: NetlinkSocket, request: Request, module: str) -> None:
    """Make a request that needs ``module`` in the kernel; the error says so when that is not there."""
    try:
        netlink.ask(request)
    except NetlinkError as exc:
        if exc.errno not in (errno.ENOENT, errno.EOPNOTSUPP):
            raise
        raise NetlinkError(exc.errno, f"{exc.strerror}; it needs the kernel module {module}") from exc


def list_qdiscs(netlink: NetlinkSocket, index: int) -> tuple[Qdisc, ...]:
    """The queueing disciplines of a link."""
    request = Request(Rtm.GETQDISC, _TC.pack(0, index, 0, 0, 0), codec.DUMP, f"list qdiscs of link {index}")
    wire = _wire()
    decoded = (wire.decode_traffic_control(reply.body) for reply in netlink.ask(request))
    return tuple(_qdisc(message) for message in decoded if message["index"] == index)


def redirect_targets(netlink: NetlinkSocket, index: int) -> frozenset[int]:
    """The links that what the link receives is redirected to."""
    body = _TC.pack(0, index, 0, _INGRESS_HANDLE, 0)
    request = Request(Rtm.GETTFILTER, body, codec.DUMP, f"list filters of link {index}")
    wire = _wire()
    decoded = (wire.decode_traffic_control(reply.body) for reply in netlink.ask(request))
    actions = (wire.attribute(message, "TCA_OPTIONS", "TCA_U32_ACT") for message in decoded if _is_u32(message))
    found = (wire.attribute(each, "TCA_ACT_PRIO_1", "TCA_ACT_OPTIONS", "TCA_MIRRED_PARMS") for each in actions)
    return frozenset(int(parameters["ifindex"]) for parameters in found if parameters is not None)


def _is_u32(message: Mapping[str, Any]) -> bool:
    return bool(_wire().attribute(message, "TCA_KIND") == "u32")


def _qdisc(message: Mapping[str, Any]) -> Qdisc:
    wire = _wire()
    kind, parent = str(wire.attribute(message, "TCA_KIND")), int(message["parent"])
    if kind != "tbf":
        return Qdisc(kind, parent)
    parameters = wire.attribute(message, "TCA_OPTIONS", "TCA_TBF_PARMS")
    rate = wire.attribute(message, "TCA_OPTIONS", "TCA_TBF_RATE64") or parameters["rate"]
    return Qdisc(kind, parent, TokenBucket(rate, parameters["limit"], parameters["buffer"]))


def _wire() -> ModuleType:
    from cni_runtime.net import pyroute  # noqa: PLC0415  # it says why

    return pyroute
