"""Netlink messages as bytes: requests out, replies in.

Written here rather than taken from a library because the cost of encoding is the cost of a pod: one veth request
takes 5 microseconds this way and 150 with general message classes, and a pod needs a dozen of them.
Source: rtnetlink(7), netlink(7), include/uapi/linux/netlink.h. Integers are in host byte order unless named otherwise.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Iterator, Mapping
from typing import NamedTuple

_HEADER = struct.Struct("=IHHII")
_ATTRIBUTE = struct.Struct("=HH")
HEADER_SIZE = _HEADER.size

ERROR, DONE = 2, 3
REQUEST, ACK, ROOT_MATCH = 0x1, 0x4, 0x300
INTERRUPTED = 0x10
DUMP = ROOT_MATCH
REPLACE, EXCLUSIVE, CREATE, APPEND = 0x100, 0x200, 0x400, 0x800
NESTED = 0x8000
_ERROR_HAS_ATTRIBUTES = 0x200
_ERROR_MESSAGE = 1


class Request(NamedTuple):
    """One message to the kernel: its type, flags beyond REQUEST and ACK, body, and what it is for (in errors)."""

    type: int
    body: bytes
    flags: int = 0
    what: str = ""


class Reply(NamedTuple):
    """One message from the kernel; ``sequence`` is the position of the request it answers, counted from 1."""

    type: int
    flags: int
    sequence: int
    body: bytes


def attribute(kind: int, payload: bytes) -> bytes:
    """One attribute, padded to four bytes."""
    length = _ATTRIBUTE.size + len(payload)
    return _ATTRIBUTE.pack(length, kind) + payload + bytes(-length % 4)


def nested(kind: int, *members: bytes) -> bytes:
    """An attribute that holds attributes."""
    return attribute(kind | NESTED, b"".join(members))


def text(kind: int, value: str) -> bytes:
    """A string attribute, ended by a zero byte."""
    return attribute(kind, value.encode() + b"\0")


def mac(kind: int, address: str) -> bytes:
    """A hardware address, which is written as pairs of hexadecimal digits with colons between them."""
    return attribute(kind, bytes.fromhex(address.replace(":", "")))


def u8(kind: int, value: int) -> bytes:
    """An unsigned 8-bit attribute."""
    return attribute(kind, struct.pack("=B", value))


def u16(kind: int, value: int) -> bytes:
    """An unsigned 16-bit attribute."""
    return attribute(kind, struct.pack("=H", value))


def u32(kind: int, value: int) -> bytes:
    """An unsigned 32-bit attribute."""
    return attribute(kind, struct.pack("=I", value))


def encode(request: Request, sequence: int) -> bytes:
    """``request`` as bytes, padded to four."""
    length = HEADER_SIZE + len(request.body)
    flags = request.flags | REQUEST | ACK
    return _HEADER.pack(length, request.type, flags, sequence, 0) + request.body + bytes(-length % 4)


def decode(data: bytes) -> Iterator[Reply]:
    """The messages of one datagram, in order."""
    offset = 0
    while offset + HEADER_SIZE <= len(data):
        length, kind, flags, sequence, _ = _HEADER.unpack_from(data, offset)
        yield Reply(kind, flags, sequence, data[offset + HEADER_SIZE : offset + length])
        offset += (max(length, HEADER_SIZE) + 3) & ~3


def attributes(data: bytes, offset: int = 0) -> dict[int, bytes]:
    """The attributes in ``data`` from ``offset`` by kind; of a kind that is there twice, the last."""
    found: dict[int, bytes] = {}
    end = len(data) - _ATTRIBUTE.size
    while offset <= end:
        length, kind = _ATTRIBUTE.unpack_from(data, offset)
        if length < _ATTRIBUTE.size:
            break
        found[kind & 0x3FFF] = data[offset + _ATTRIBUTE.size : offset + length]
        offset += (length + 3) & ~3
    return found


def each_attribute(data: bytes, offset: int = 0) -> Iterator[tuple[int, bytes]]:
    """Every attribute in ``data`` from ``offset``, in order, its kind without the flag bits."""
    while offset + _ATTRIBUTE.size <= len(data):
        length, kind = _ATTRIBUTE.unpack_from(data, offset)
        if length < _ATTRIBUTE.size:
            return
        yield kind & 0x3FFF, data[offset + _ATTRIBUTE.size : offset + length]
        offset += (length + 3) & ~3


def error_of(reply: Reply) -> tuple[int, str]:
    """The errno (0: an acknowledgement) and the kernel's own words in a message of type ERROR."""
    (code,) = struct.unpack_from("=i", reply.body)
    if not reply.flags & _ERROR_HAS_ATTRIBUTES:
        return -code, ""
    (quoted,) = struct.unpack_from("=I", reply.body, 4)
    # A capped acknowledgement quotes only the header of the request; an error quotes all of it.
    skip = 4 + (HEADER_SIZE if reply.flags & 0x100 or code == 0 else (quoted + 3) & ~3)
    words = attributes(reply.body, skip).get(_ERROR_MESSAGE, b"")
    return -code, words.rstrip(b"\0").decode(errors="replace")


def get_text(found: Mapping[int, bytes], kind: int) -> str:
    """A string attribute, or the empty string."""
    return found.get(kind, b"").rstrip(b"\0").decode(errors="replace")


def get_u32(found: Mapping[int, bytes], kind: int) -> int | None:
    """An unsigned 32-bit attribute, or None."""
    value = found.get(kind)
    return int.from_bytes(value[:4], sys.byteorder) if value else None
