"""One stream of bytes between the server and a client, whatever transport carries it."""

from __future__ import annotations

from typing import Protocol


class Source(Protocol):
    """What a client sends."""

    async def read(self) -> bytes:
        """Some bytes, or none at the end. Raises StreamResetError and PeerGoneError."""
        ...

    def discard(self) -> None:
        """Throw away what is there and what comes: what nobody reads would hold up the connection's other streams."""
        ...


class Sink(Protocol):
    """What a client receives."""

    async def write(self, data: bytes) -> None:
        """Send ``data``, waiting while the client is slow. Raises StreamResetError and PeerGoneError."""
        ...

    async def close(self) -> None:
        """Tell the client that no more comes, where the transport can say so; once closed, nothing happens."""
        ...


class Channel(Source, Sink, Protocol):
    """Both directions."""
