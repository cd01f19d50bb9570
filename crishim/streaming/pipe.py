"""A connection that carries bytes: an upgraded HTTP connection, or the messages of a WebSocket."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Protocol

from aiohttp import WSMsgType, web

from crishim.streaming.errors import PeerGoneError
from crishim.streaming.transport import delivered, hung_up

READ_SIZE = 128 * 1024
"""Bytes to read at a time, and about as many as wait in memory for being read."""


class Pipe(Protocol):
    """Both directions of one connection. One task reads, one writes."""

    async def read(self) -> bytes:
        """Some bytes; none when the peer will send no more, however its connection ended."""
        ...

    async def write(self, parts: Sequence[bytes]) -> None:
        """Send ``parts``, waiting while the peer is slow. Raises PeerGoneError."""
        ...

    def hung_up(self) -> bool:
        """Whether the peer is gone, to be asked while nobody reads."""
        ...

    async def delivered(self) -> None:
        """Wait until the peer's kernel has everything that was written."""
        ...

    async def aclose(self) -> None:
        """End the connection."""
        ...


class StreamPipe:
    """A pipe on asyncio's streams."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def read(self) -> bytes:
        """See ``Pipe``."""
        try:
            return await self._reader.read(READ_SIZE)
        except OSError:
            return b""

    async def write(self, parts: Sequence[bytes]) -> None:
        """See ``Pipe``."""
        try:
            self._writer.write(b"".join(parts))  # after writelines() Python before 3.12.9 and 3.13.2 never waits
            await self._writer.drain()
        except (OSError, RuntimeError) as error:  # the latter from a transport that was closed
            raise PeerGoneError("the client is gone") from error

    def hung_up(self) -> bool:
        """See ``Pipe``."""
        return hung_up(self._writer.transport)

    async def delivered(self) -> None:
        """See ``Pipe``."""
        await delivered(self._writer.transport)

    async def aclose(self) -> None:
        """See ``Pipe``."""
        if self._writer.transport.get_write_buffer_size():
            self._writer.transport.abort()  # a peer that does not read shall not hold the socket
        else:
            self._writer.close()


class WebSocketPipe:
    """A pipe in the binary messages of a WebSocket; where a message ends means nothing."""

    def __init__(self, socket: web.WebSocketResponse, transport: asyncio.Transport) -> None:
        self._socket, self._transport = socket, transport

    async def read(self) -> bytes:
        """See ``Pipe``."""
        while (message := await self._socket.receive()).type in (WSMsgType.BINARY, WSMsgType.PING):
            if message.type is WSMsgType.BINARY and message.data:
                return bytes(message.data)
            if message.type is WSMsgType.PING:
                try:
                    await self._socket.pong(message.data)
                except OSError:
                    break
        return b""

    async def write(self, parts: Sequence[bytes]) -> None:
        """See ``Pipe``."""
        try:
            await self._socket.send_bytes(b"".join(parts))
        except OSError as error:
            raise PeerGoneError("the client is gone") from error

    def hung_up(self) -> bool:
        """See ``Pipe``."""
        return hung_up(self._transport)

    async def delivered(self) -> None:
        """See ``Pipe``."""
        await delivered(self._transport)

    async def aclose(self) -> None:
        """See ``Pipe``."""
        await self._socket.close()
