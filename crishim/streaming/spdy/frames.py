"""The frames of SPDY/3.1 as values, and their bytes. Header blocks are still compressed here.

Source: SPDY Draft 3.1, sections 2.2 "Framing" and 2.6 "Control frames".
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from enum import IntEnum, IntFlag

from msgspec import Struct

VERSION = 3
HEADER_SIZE = 8
MAX_LENGTH = (1 << 24) - 1
MAX_STREAM_ID = (1 << 31) - 1
MAX_WINDOW = (1 << 31) - 1

_CONTROL = 1 << 31


class Type(IntEnum):
    """Control frames; numbers that are not here are ignored, as the specification asks."""

    SYN_STREAM = 1
    SYN_REPLY = 2
    RST_STREAM = 3
    SETTINGS = 4
    PING = 6
    GOAWAY = 7
    HEADERS = 8
    WINDOW_UPDATE = 9


class Flag(IntFlag):
    """Flags of frames that belong to a stream."""

    FIN = 1
    UNIDIRECTIONAL = 2


class ResetStatus(IntEnum):
    """Why a stream was ended at once."""

    PROTOCOL_ERROR = 1
    INVALID_STREAM = 2
    REFUSED_STREAM = 3
    UNSUPPORTED_VERSION = 4
    CANCEL = 5
    INTERNAL_ERROR = 6
    FLOW_CONTROL_ERROR = 7
    STREAM_IN_USE = 8
    STREAM_ALREADY_CLOSED = 9
    FRAME_TOO_LARGE = 11


class GoAwayStatus(IntEnum):
    """Why a side takes no more streams."""

    OK = 0
    PROTOCOL_ERROR = 1
    INTERNAL_ERROR = 2


class Setting(IntEnum):
    """The settings that mean something here."""

    MAX_CONCURRENT_STREAMS = 4
    INITIAL_WINDOW_SIZE = 7


class ProtocolError(Exception):
    """The peer broke the protocol in a way that leaves the connection without a common state."""


class SynStream(Struct, frozen=True):
    """A new stream."""

    stream_id: int
    block: bytes
    fin: bool = False
    unidirectional: bool = False


class SynReply(Struct, frozen=True):
    """The stream is accepted."""

    stream_id: int
    block: bytes
    fin: bool = False


class Headers(Struct, frozen=True):
    """More headers of a stream."""

    stream_id: int
    block: bytes
    fin: bool = False


class RstStream(Struct, frozen=True):
    """The stream ends at once, in both directions. ``status`` may be a number that ``ResetStatus`` does not have."""

    stream_id: int
    status: int


class Settings(Struct, frozen=True):
    """Values by id, known or not."""

    values: Mapping[int, int]


class Ping(Struct, frozen=True):
    """To be sent back when the other side chose the id."""

    ping_id: int


class GoAway(Struct, frozen=True):
    """No streams above ``last_stream_id`` are or will be served."""

    last_stream_id: int
    status: int


class WindowUpdate(Struct, frozen=True):
    """``delta`` more bytes may be sent on the stream, or with id 0 on the whole connection."""

    stream_id: int
    delta: int


class Data(Struct, frozen=True):
    """Bytes of a stream. A parser cuts a long frame into several of these; ``fin`` is with the last one."""

    stream_id: int
    data: bytes
    fin: bool = False


ControlFrame = SynStream | SynReply | Headers | RstStream | Settings | Ping | GoAway | WindowUpdate
Frame = ControlFrame | Data


def data_header(stream_id: int, length: int, *, fin: bool = False) -> bytes:
    """What precedes ``length`` bytes of data."""
    return struct.pack(">II", stream_id, (Flag.FIN if fin else 0) << 24 | length)


def encode(frame: ControlFrame) -> bytes:
    """A whole control frame."""
    flags = 0
    match frame:
        case SynStream():
            kind, payload = Type.SYN_STREAM, struct.pack(">IIH", frame.stream_id, 0, 0) + frame.block
            flags = _fin(frame.fin) | (Flag.UNIDIRECTIONAL if frame.unidirectional else 0)
        case SynReply():
            kind, flags, payload = Type.SYN_REPLY, _fin(frame.fin), frame.stream_id.to_bytes(4) + frame.block
        case Headers():
            kind, flags, payload = Type.HEADERS, _fin(frame.fin), frame.stream_id.to_bytes(4) + frame.block
        case RstStream():
            kind, payload = Type.RST_STREAM, struct.pack(">II", frame.stream_id, frame.status)
        case Settings():
            entries = (struct.pack(">II", number, value) for number, value in frame.values.items())
            kind, payload = Type.SETTINGS, len(frame.values).to_bytes(4) + b"".join(entries)
        case Ping():
            kind, payload = Type.PING, frame.ping_id.to_bytes(4)
        case GoAway():
            kind, payload = Type.GOAWAY, struct.pack(">II", frame.last_stream_id, frame.status)
        case WindowUpdate():
            kind, payload = Type.WINDOW_UPDATE, struct.pack(">II", frame.stream_id, frame.delta)
    return struct.pack(">II", _CONTROL | VERSION << 16 | kind, flags << 24 | len(payload)) + payload


def _fin(fin: bool) -> int:
    return Flag.FIN if fin else 0
