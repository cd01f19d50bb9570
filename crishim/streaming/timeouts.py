"""How long a stream may take for what, and how many clients may wait."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

BACKLOG: Final = 512
"""Clients that wait to be accepted."""
STOP_SECONDS: Final = 5.0
"""For streams to end what they have begun."""


class Timeouts(Struct, frozen=True):
    """Seconds: without a byte in either direction, 0 for no limit; and for a client to open its streams."""

    idle: float
    creation: float = 30.0
