"""How long a stream may take for what."""

from __future__ import annotations

from msgspec import Struct


class Timeouts(Struct, frozen=True):
    """Seconds: without a byte in either direction, 0 for no limit; and for a client to open its streams."""

    idle: float
    creation: float = 30.0
