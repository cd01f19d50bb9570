"""Flow control: how much may be sent, and what the peer is told about what has been read.

The clients of Kubernetes neither keep to a window nor ever open one: with them TCP alone holds back a side that is too
fast. To wait for updates that never come would stop every stream after 64 KiB. So a window counts from the start, but
holds back only once the peer has shown that it takes part, by a SETTINGS or WINDOW_UPDATE frame. The windows that are
offered to the peer are kept open the way the specification wants it, and not enforced.

Source: SPDY Draft 3.1, section 2.6.8 "WINDOW_UPDATE".
"""

from __future__ import annotations

from crishim.streaming.spdy.frames import MAX_WINDOW

INITIAL_WINDOW = 64 * 1024
"""Bytes that either side may send on a stream, and on all together, before anything was said about it."""

STREAM_WINDOW, CONNECTION_WINDOW = 256 * 1024, 1024 * 1024
"""Bytes that the peer is offered: so many that it is seldom told of more."""


class SendWindow:
    """What may be sent on a stream or on the whole connection."""

    def __init__(self, size: int = INITIAL_WINDOW) -> None:
        self._size = size

    @property
    def size(self) -> int:
        """Bytes that may be sent; below zero when too many have been."""
        return self._size

    def spend(self, count: int) -> None:
        """``count`` bytes were sent."""
        self._size -= count

    def grow(self, delta: int) -> bool:
        """Add what the peer grants, or takes back; False, and no change, when that is more than a window can be."""
        if self._size + delta > MAX_WINDOW:
            return False
        self._size += delta
        return True


class ReceiveWindow:
    """What was read of a stream or of the whole connection, and not yet told to the peer, who has ``size`` in all."""

    def __init__(self, size: int) -> None:
        self._size, self._untold = size, 0

    def consume(self, count: int) -> int:
        """``count`` bytes were read. The number by which to open the window now; 0: it is still open enough."""
        self._untold += count
        if self._untold < self._size // 2:
            return 0
        delta, self._untold = self._untold, 0
        return delta
