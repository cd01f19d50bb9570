"""One stream of a SPDY connection, for tasks to read and write."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from crishim.streaming.errors import PeerGoneError, StreamResetError
from crishim.streaming.inbox import Inbox
from crishim.streaming.spdy.frames import ResetStatus


class Carrier(Protocol):
    """What a stream needs of its connection."""

    @property
    def over(self) -> str:
        """Why the connection has ended; empty while it lasts."""
        ...

    def taken(self, stream_id: int, count: int) -> None:
        """``count`` bytes that came are no longer in memory."""
        ...

    async def send(self, stream_id: int, data: bytes, start: int) -> int:
        """Send some of ``data[start:]`` as soon as that is possible; how much, 0 when the stream or all has ended."""
        ...

    def finish(self, stream_id: int) -> None:
        """Send no more."""
        ...

    def reset(self, stream_id: int, status: ResetStatus) -> None:
        """End both directions at once."""
        ...


class Stream:
    """A ``channel.Channel``, read by one task and written by one task. ``headers`` are those it was opened with.

    ``inbox`` is filled by the connection.
    """

    def __init__(self, carrier: Carrier, stream_id: int, headers: Mapping[str, str]) -> None:
        self.id, self.headers = stream_id, headers
        self.inbox = Inbox(lambda count: carrier.taken(stream_id, count))
        self._carrier = carrier
        self._finished = self._reset = False

    async def read(self) -> bytes:
        """Some bytes, or none at the end. Raises StreamResetError and PeerGoneError."""
        return await self.inbox.read()

    async def write(self, data: bytes) -> None:
        """Send ``data``, waiting while the peer is slow. Raises StreamResetError and PeerGoneError."""
        sent = 0
        while sent < len(data):
            if self._carrier.over:
                raise PeerGoneError(f"stream {self.id}: {self._carrier.over}")
            if self._reset or self._finished:
                raise StreamResetError(f"stream {self.id}: takes no more data")
            sent += await self._carrier.send(self.id, data, sent)

    async def close(self) -> None:
        """Send no more; the other direction goes on. Once closed or reset, nothing happens."""
        if not (self._finished or self._reset or self._carrier.over):
            self._finished = True
            self._carrier.finish(self.id)

    def reset(self, status: ResetStatus = ResetStatus.CANCEL) -> None:
        """End both directions at once."""
        self._carrier.reset(self.id, status)
        self.was_reset()

    def was_reset(self) -> None:
        """For the connection: both directions have ended, and what has come is not to be read."""
        self._reset = True
        self.discard()
        self.inbox.fail(StreamResetError(f"stream {self.id}: reset"))

    def discard(self) -> None:
        """Throw away what is there to read and what comes."""
        self.inbox.discard()
