"""From the bytes a peer sends to frames. Data is passed on as it comes, so that a long frame needs no memory."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType

from crishim.streaming.spdy.frames import (
    HEADER_SIZE,
    MAX_LENGTH,
    MAX_STREAM_ID,
    MAX_WINDOW,
    VERSION,
    ControlFrame,
    Data,
    Flag,
    Frame,
    GoAway,
    Headers,
    Ping,
    ProtocolError,
    RstStream,
    Settings,
    SynReply,
    SynStream,
    Type,
    WindowUpdate,
)

CONTROL_LIMIT = 64 * 1024
"""Bytes of one control frame, compressed. The specification asks for at least 8192."""


class FrameParser:
    """One direction of one connection."""

    def __init__(self) -> None:
        self._head = bytearray()
        self._need = HEADER_SIZE
        self._data = Data(0, b"")
        self._data_left = 0

    def feed(self, data: bytes) -> Iterator[Frame]:
        """The frames that ``data`` completes, and the parts of data frames in it.

        To be iterated to its end before the next call. Raises ProtocolError, after which nothing more may be fed.
        """
        position = 0
        while position < len(data):
            rest = len(data) - position
            if self._data_left:
                taken = min(rest, self._data_left)
                self._data_left -= taken
                fin = self._data.fin and not self._data_left
                yield Data(self._data.stream_id, data[position : position + taken], fin)
            else:
                taken = min(rest, self._need - len(self._head))
                self._head += data[position : position + taken]
                if len(self._head) == self._need and (frame := self._advance()):
                    yield frame
            position += taken

    def _advance(self) -> Frame | None:
        """Act on a frame's header, or on a control frame that is complete."""
        first, second = struct.unpack_from(">II", self._head)
        flags, length = second >> 24, second & MAX_LENGTH
        if first <= MAX_STREAM_ID:
            self._head.clear()
            return self._begin_data(first, flags, length)
        version, kind = first >> 16 & 0x7FFF, first & 0xFFFF
        if version != VERSION:
            raise ProtocolError(f"a control frame of SPDY version {version}")
        if length > CONTROL_LIMIT:
            raise ProtocolError(f"a control frame of {length} bytes")
        if self._need == HEADER_SIZE and length:
            self._need += length
            return None
        payload = bytes(self._head[HEADER_SIZE:])
        self._head.clear()
        self._need = HEADER_SIZE
        return _control_frame(kind, flags, payload)

    def _begin_data(self, stream_id: int, flags: int, length: int) -> Frame | None:
        if stream_id == 0:
            raise ProtocolError("data without a stream")
        self._data, self._data_left = Data(stream_id, b"", bool(flags & Flag.FIN)), length
        return None if length else self._data


def _control_frame(kind: int, flags: int, payload: bytes) -> ControlFrame | None:
    decode = _DECODERS.get(kind)
    try:
        return decode(flags, payload) if decode else None
    except struct.error as error:
        raise ProtocolError(f"a frame of type {kind} with {len(payload)} bytes") from error


def _syn_stream(flags: int, payload: bytes) -> ControlFrame:
    stream_id, _, _ = struct.unpack_from(">IIH", payload)
    return SynStream(_id(stream_id), payload[10:], bool(flags & Flag.FIN), bool(flags & Flag.UNIDIRECTIONAL))


def _syn_reply(flags: int, payload: bytes) -> ControlFrame:
    (stream_id,) = struct.unpack_from(">I", payload)
    return SynReply(_id(stream_id), payload[4:], bool(flags & Flag.FIN))


def _headers(flags: int, payload: bytes) -> ControlFrame:
    (stream_id,) = struct.unpack_from(">I", payload)
    return Headers(_id(stream_id), payload[4:], bool(flags & Flag.FIN))


def _rst_stream(_: int, payload: bytes) -> ControlFrame:
    stream_id, status = struct.unpack(">II", payload)
    return RstStream(_id(stream_id), status)


def _settings(_: int, payload: bytes) -> ControlFrame:
    (count,) = struct.unpack_from(">I", payload)
    if len(payload) != 4 + 8 * count:
        raise ProtocolError(f"{count} settings in {len(payload)} bytes")
    return Settings({key & MAX_LENGTH: value for key, value in struct.iter_unpack(">II", payload[4:])})


def _ping(_: int, payload: bytes) -> ControlFrame:
    return Ping(*struct.unpack(">I", payload))


def _go_away(_: int, payload: bytes) -> ControlFrame:
    last, status = struct.unpack(">II", payload)
    return GoAway(last & MAX_STREAM_ID, status)


def _window_update(_: int, payload: bytes) -> ControlFrame:
    stream_id, delta = struct.unpack(">II", payload)
    return WindowUpdate(stream_id & MAX_STREAM_ID, delta & MAX_WINDOW)


def _id(number: int) -> int:
    stream_id = number & MAX_STREAM_ID
    if not stream_id:
        raise ProtocolError("a control frame of a stream, without a stream")
    return stream_id


_DECODERS: Mapping[int, Callable[[int, bytes], ControlFrame]] = MappingProxyType(
    {
        Type.SYN_STREAM: _syn_stream,
        Type.SYN_REPLY: _syn_reply,
        Type.HEADERS: _headers,
        Type.RST_STREAM: _rst_stream,
        Type.SETTINGS: _settings,
        Type.PING: _ping,
        Type.GOAWAY: _go_away,
        Type.WINDOW_UPDATE: _window_update,
    }
)
