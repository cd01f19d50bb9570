"""The messages of a WebSocket that carries channels: each begins with the number of its channel.

In the subprotocols ``channel.k8s.io`` and ``v4.channel.k8s.io`` the number is a byte, and bytes follow; where the name
has a ``base64.`` in it, it is a digit, and encoded text follows. With ``v5.channel.k8s.io`` a client can end a channel.

Source: k8s.io/apimachinery 0.36, pkg/util/httpstream/wsstream and pkg/util/remotecommand.
"""

from __future__ import annotations

import base64
import binascii

from msgspec import Struct

MAX_CHANNEL = 79
"""The largest number that both forms can carry: in text, the characters from "0" on stand for 0 and more."""

_CLOSE_SIGNAL = 255
_ZERO = ord("0")


class Subprotocol(Struct, frozen=True):
    """How channels are carried. ``structured``: how a command ended is told as an object, not as text."""

    name: str
    text: bool = False
    closes: bool = False
    structured: bool = True


class MessageError(Exception):
    """A message that cannot be one of the subprotocol."""


class Message(Struct, frozen=True):
    """Data for a channel, or with ``closes`` the end of the data."""

    channel: int
    data: bytes = b""
    closes: bool = False


def encode(subprotocol: Subprotocol, channel: int, data: bytes) -> bytes:
    """The payload of a message, which is text or binary as the subprotocol says."""
    if subprotocol.text:
        return bytes((_ZERO + channel,)) + base64.b64encode(data)
    return bytes((channel,)) + data


def decode(subprotocol: Subprotocol, payload: bytes) -> Message | None:
    """What a message says; None when it says nothing. Raises MessageError."""
    if not payload:
        return None
    if subprotocol.closes and payload[0] == _CLOSE_SIGNAL:
        if len(payload) != 2:
            raise MessageError(f"a close signal of {len(payload)} bytes")
        return Message(payload[1], closes=True)
    if not subprotocol.text:
        return Message(payload[0], payload[1:])
    try:
        return Message(payload[0] - _ZERO, base64.b64decode(payload[1:], validate=True))
    except binascii.Error as error:
        raise MessageError("a message that is not base64") from error
