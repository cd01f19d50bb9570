"""What a peer did, as told by a connection to whoever uses it."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct


class StreamOpened(Struct, frozen=True):
    """The peer wants a stream: to be answered with ``reply`` or ``reset``."""

    stream_id: int
    headers: Mapping[str, str]


class DataReceived(Struct, frozen=True):
    """Bytes of a stream, never none; ``acknowledge`` them when they are read."""

    stream_id: int
    data: bytes


class StreamEnded(Struct, frozen=True):
    """No more data comes on a stream."""

    stream_id: int


class StreamReset(Struct, frozen=True):
    """A stream is over at once, at the peer's wish or because it broke the rules for streams."""

    stream_id: int
    status: int


class WindowOpened(Struct, frozen=True):
    """It may be possible to send more than before, on any stream."""


class PeerLeaving(Struct, frozen=True):
    """The peer opens and accepts no more streams."""


Event = StreamOpened | DataReceived | StreamEnded | StreamReset | WindowOpened | PeerLeaving
