"""Traffic control messages and routing rules as bytes, by the message classes of pyroute2.

The one module that imports pyroute2, and itself imported only when the first such message is needed: the import
takes 0.2 s and 11 MB, which a node without bandwidth limits and source routing need not pay. Only encoding and
decoding is used, since its sockets start threads or processes of their own.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from pyroute2.netlink.rtnl.fibmsg import fibmsg
from pyroute2.netlink.rtnl.tcmsg import sched_tbf, tcmsg

_HEADER_SIZE = 16

Attributes = Sequence[tuple[str, Any]]


class _TbfOptions(sched_tbf.options):  # type: ignore[misc]  # has no annotations
    """With the attribute for rates of 2**32 bytes/s and more."""

    nla_map = (*sched_tbf.options.nla_map, ("TCA_TBF_RATE64", "uint64"))


class _TrafficControl(tcmsg):  # type: ignore[misc]  # has no annotations
    @staticmethod
    def get_options(message: Any, *args: Any, **kwargs: Any) -> Any:
        if message.get_attr("TCA_KIND") == "tbf":
            return _TbfOptions
        return tcmsg.get_options(message, *args, **kwargs)


def encode_traffic_control(attributes: Attributes, **fields: int) -> bytes:
    """The body of a message about a qdisc or filter."""
    return _encode(_TrafficControl(), attributes, fields)


def decode_traffic_control(body: bytes) -> Mapping[str, Any]:
    """The fields of a message about a qdisc or filter; ``attrs`` holds its attributes, see ``attribute``."""
    return _decode(_TrafficControl, body)


def encode_rule(attributes: Attributes, **fields: int) -> bytes:
    """The body of a message about a routing rule."""
    return _encode(fibmsg(), attributes, fields)


def decode_rule(body: bytes) -> Mapping[str, Any]:
    """The fields of a message about a routing rule; ``attrs`` holds its attributes."""
    return _decode(fibmsg, body)


def attribute(message: Any, *path: str) -> Any:
    """The value of an attribute, or of one nested in it; None when any of ``path`` is missing."""
    for name in path:
        if message is None:
            return None
        message = message.get_attr(name)
    return message


def nested(attributes: Attributes) -> dict[str, Any]:
    """Attributes as the value of an attribute."""
    return {"attrs": list(attributes)}


def _encode(message: Any, attributes: Attributes, fields: Mapping[str, int]) -> bytes:
    message.update(fields)
    message["attrs"] = list(attributes)
    message.encode()
    return bytes(message.data[_HEADER_SIZE:])


def _decode(kind: Any, body: bytes) -> Mapping[str, Any]:
    length = (_HEADER_SIZE + len(body)).to_bytes(4, sys.byteorder)
    message: Mapping[str, Any] = kind(length + bytes(_HEADER_SIZE - 4) + body)
    message.decode()  # type: ignore[attr-defined]  # its class has no annotations
    return message
