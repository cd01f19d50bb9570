"""A WebSocket whose messages belong to numbered channels, for tasks to read and write."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import anyio
from aiohttp import WSCloseCode, WSMessage, WSMsgType, web

from crishim.streaming.errors import PeerGoneError
from crishim.streaming.inbox import Inbox
from crishim.streaming.intake import Intake
from crishim.streaming.messages import Message, MessageError, Subprotocol, decode, encode
from crishim.streaming.race import Activity, alongside, first_of
from crishim.streaming.transport import delivered, hung_up


class SocketChannel:
    """A ``channel.Channel``, read by one task and written by one task. ``inbox`` is filled by the mux."""

    def __init__(self, mux: SocketMux, number: int) -> None:
        self._mux, self._number = mux, number
        self.inbox = Inbox(mux.taken)

    async def read(self) -> bytes:
        """Some bytes, or none at the end. Raises PeerGoneError."""
        return await self.inbox.read()

    def discard(self) -> None:
        """Throw away what is there to read and what comes."""
        self.inbox.discard()

    async def write(self, data: bytes) -> None:
        """Send ``data`` in one message, waiting while the client is slow. Raises PeerGoneError."""
        await self._mux.send(self._number, data)

    async def close(self) -> None:
        """End both directions on this side; a client is not told, since there is no message for it."""
        self.inbox.end()


class SocketMux:
    """All channels of one WebSocket. Made by ``channels_of``."""

    def __init__(self, socket: web.WebSocketResponse, transport: asyncio.Transport, subprotocol: Subprotocol) -> None:
        self._socket, self._transport, self._subprotocol = socket, transport, subprotocol
        self._type = WSMsgType.TEXT if subprotocol.text else WSMsgType.BINARY
        self._read_channels: dict[int, SocketChannel] = {}
        self._intake = Intake(partial(hung_up, transport), socket.pong)
        self._activity = Activity()

    def channel(self, number: int, *, read: bool = False) -> SocketChannel:
        """One channel, asked for once. What the client sends on it is thrown away unless it is to be ``read``.

        Ask before anything is awaited: what came earlier is lost.
        """
        channel = SocketChannel(self, number)
        if read:
            self._read_channels[number] = channel
        return channel

    def taken(self, count: int) -> None:
        """For channels: ``count`` bytes that came are no longer in memory."""
        self._intake.taken(count)

    async def send(self, number: int, data: bytes) -> None:
        """For channels: send a message."""
        try:
            await self._socket.send_frame(encode(self._subprotocol, number, data), self._type)
        except OSError as error:
            raise PeerGoneError("the client is gone") from error
        self._activity.touch()

    async def run(self, idle_timeout: float) -> None:
        """Serve the socket until it is over."""
        await first_of(self._read, partial(self._activity.idle, idle_timeout))

    async def delivered(self) -> None:
        """Wait until the client's kernel has everything that was written."""
        await delivered(self._transport)

    async def _read(self) -> None:
        try:
            while (message := await self._socket.receive()).type in (WSMsgType.BINARY, WSMsgType.TEXT, WSMsgType.PING):
                self._activity.touch()
                await self._take(message)
                if not await self._intake.room():
                    return
        except MessageError as error:
            await self._socket.close(code=WSCloseCode.PROTOCOL_ERROR, message=str(error).encode())
        except OSError:  # from an answer to a ping
            return

    async def _take(self, raw: WSMessage) -> None:
        if raw.type is WSMsgType.PING:
            await self._socket.pong(raw.data)
            return
        payload = raw.data.encode() if raw.type is WSMsgType.TEXT else bytes(raw.data)
        message = decode(self._subprotocol, payload)
        if message is not None and message.channel in self._read_channels:
            self._put(message, self._read_channels[message.channel].inbox)

    def _put(self, message: Message, inbox: Inbox) -> None:
        if message.closes:
            inbox.end()
        elif message.data:
            self._intake.came(len(message.data))
            inbox.feed(message.data)


@asynccontextmanager
async def channels_of(
    socket: web.WebSocketResponse, transport: asyncio.Transport, subprotocol: Subprotocol, *, idle_timeout: float
) -> AsyncIterator[SocketMux]:
    """The channels of a WebSocket while it lasts: the body is cancelled when the client goes, and the context left.

    A body that ends sends the client what was written and closes the socket in order. What the body raises is raised
    in a group. ``idle_timeout``: seconds, 0 for none.
    """
    mux = SocketMux(socket, transport, subprotocol)
    code = WSCloseCode.GOING_AWAY
    try:
        async with alongside(partial(mux.run, idle_timeout)):
            yield mux
            await mux.delivered()
            code = WSCloseCode.OK
    except* PeerGoneError:
        pass  # the body has noticed first
    finally:
        with anyio.CancelScope(shield=True):
            await socket.close(code=code)
