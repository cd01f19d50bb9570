"""A SPDY connection with its streams.

Three tasks serve a connection: one turns what the peer sends into events, one sends what has gathered, one watches
for idleness. When one of them ends, the connection is over. What is in memory is bounded: a writer waits while more
than ``_OUT_LIMIT`` bytes are unsent, and ``Intake`` says when to read on from the peer.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial

import anyio

from crishim.streaming.errors import PeerGoneError
from crishim.streaming.intake import Intake
from crishim.streaming.pipe import Pipe
from crishim.streaming.race import Activity, alongside, first_of
from crishim.streaming.spdy import events
from crishim.streaming.spdy.connection import Connection
from crishim.streaming.spdy.frames import ProtocolError, ResetStatus
from crishim.streaming.spdy.stream import Stream

_OUT_LIMIT = 128 * 1024
_ANSWERS_LIMIT = 4 * _OUT_LIMIT  # for a peer that asks much and reads nothing
_FRAME_LIMIT = 128 * 1024
_FAREWELL_SECONDS = 1.0  # for the last frames to a peer that cannot be served on
_LINGER_SECONDS = 10.0  # for the peer to close, after it has everything

OnOpen = Callable[[Stream], bool]
"""Told of a stream that the peer wants; whether it gets it."""


class Mux:
    """All streams of one connection. Made by ``multiplexed``."""

    def __init__(self, pipe: Pipe, connection: Connection, on_open: OnOpen) -> None:
        self._pipe, self._connection, self._on_open = pipe, connection, on_open
        self._streams: dict[int, Stream] = {}
        self._intake = Intake(pipe.hung_up, self._probe, lambda: connection.pending > _ANSWERS_LIMIT)
        self._activity = Activity()
        self._work, self._flushed, self._sendable = (asyncio.Event() for _ in range(3))
        self._turn = asyncio.Lock()
        self._peer_leaving = False
        self._over = ""

    @property
    def over(self) -> str:
        """Why the connection has ended; empty while it lasts."""
        return self._over

    def open(self, headers: Mapping[str, str]) -> Stream:
        """Ask the peer for a stream."""
        stream = Stream(self, self._connection.open(headers), headers)
        self._streams[stream.id] = stream
        self._work.set()
        return stream

    async def leave(self) -> None:
        """End all streams and wait until the peer has everything; that may last while the connection is not idle."""
        for stream in list(self._streams.values()):
            stream.discard()
            await stream.close()
        self._connection.leave()
        await self._flush()
        await self._pipe.delivered()
        await anyio.sleep(_LINGER_SECONDS)  # cut short when the peer closes

    # ---- for streams

    def taken(self, stream_id: int, count: int) -> None:
        """See ``Carrier``."""
        self._intake.taken(count)
        if not self._over:
            self._connection.acknowledge(stream_id, count)
            self._send_pending()

    async def send(self, stream_id: int, data: bytes, start: int) -> int:
        """See ``Carrier``."""
        while not self._connection.allowance(stream_id):
            if not self._can_send(stream_id):
                return 0
            await self._wait(self._sendable)
        async with self._turn:  # first come, first served: 100 writers share a slow connection evenly
            while self._connection.pending >= _OUT_LIMIT or not self._connection.window:
                if not self._can_send(stream_id):
                    return 0
                await self._wait(self._sendable)
            allowed = min(self._connection.allowance(stream_id), self._connection.window, _FRAME_LIMIT)
            count = min(len(data) - start, allowed)
            if count:
                self._connection.send(stream_id, data[start : start + count])
                self._work.set()
        return count

    def _can_send(self, stream_id: int) -> bool:
        return not self._over and stream_id in self._streams

    async def _wait(self, change: asyncio.Event) -> None:
        change.clear()
        await change.wait()

    def finish(self, stream_id: int) -> None:
        """See ``Carrier``."""
        self._connection.finish(stream_id)
        self._forget_closed(stream_id)
        self._work.set()

    def reset(self, stream_id: int, status: ResetStatus) -> None:
        """See ``Carrier``."""
        if not self._over:
            self._connection.reset(stream_id, status)
            self._forget_closed(stream_id)
            self._sendable.set()
            self._work.set()

    def _forget_closed(self, stream_id: int) -> None:
        if not self._connection.is_open(stream_id):
            self._streams.pop(stream_id, None)

    # ---- the life of the connection

    async def run(self, idle_timeout: float) -> None:
        """Serve the connection until it is over."""
        try:
            await first_of(self._read, self._write, partial(self._watch, idle_timeout))
        finally:
            self._over = self._over or "the server ends the connection"
            for stream in self._streams.values():
                stream.inbox.fail(PeerGoneError(f"stream {stream.id}: {self._over}"))
            self._sendable.set()

    async def _read(self) -> None:
        self._over = await self._read_until_over()
        with anyio.move_on_after(_FAREWELL_SECONDS):
            await self._flush()

    async def _read_until_over(self) -> str:
        while data := await self._pipe.read():
            self._activity.touch()
            try:
                for event in self._connection.receive(data):
                    self._handle(event)
            except ProtocolError as error:
                return f"the client broke the protocol: {error}"
            self._send_pending()
            if self._peer_leaving and not self._streams:
                return "the client has left"
            if not await self._intake.room():
                break
        return "the client has closed the connection"

    async def _probe(self) -> None:
        self._connection.probe()
        self._send_pending()

    async def _write(self) -> None:
        try:
            while True:
                while parts := self._connection.take_output():
                    self._sendable.set()
                    await self._pipe.write(parts)
                    self._intake.look_again()
                    self._activity.touch()
                self._flushed.set()
                await self._wait(self._work)
        except PeerGoneError as error:
            self._over = self._over or str(error)

    def _send_pending(self) -> None:
        if self._connection.pending:
            self._work.set()

    async def _flush(self) -> None:
        self._flushed.clear()
        self._work.set()
        await self._flushed.wait()

    async def _watch(self, idle_timeout: float) -> None:
        await self._activity.idle(idle_timeout)
        self._over = f"nothing was sent for {idle_timeout:g} s"

    def _handle(self, event: events.Event) -> None:
        match event:
            case events.DataReceived():
                self._intake.came(len(event.data))
                self._streams[event.stream_id].inbox.feed(event.data)
            case events.StreamOpened():
                self._consider(Stream(self, event.stream_id, event.headers))
            case events.StreamEnded():
                self._streams[event.stream_id].inbox.end()
                self._forget_closed(event.stream_id)
            case events.StreamReset():
                self._streams.pop(event.stream_id).was_reset()
                self._sendable.set()
            case events.WindowOpened():
                self._sendable.set()
            case events.PeerLeaving():
                self._peer_leaving = True

    def _consider(self, stream: Stream) -> None:
        self._streams[stream.id] = stream
        if self._on_open(stream):
            self._connection.reply(stream.id)
        else:
            stream.reset(ResetStatus.REFUSED_STREAM)


@asynccontextmanager
async def multiplexed(
    pipe: Pipe, connection: Connection, on_open: OnOpen, *, idle_timeout: float
) -> AsyncIterator[Mux]:
    """The streams of ``connection`` while it lasts: the body is cancelled when the peer goes, and the context left.

    A body that ends sends the peer what was written and closes the connection in order. What the body raises is
    raised in a group. ``idle_timeout``: seconds, 0 for none.
    """
    mux = Mux(pipe, connection, on_open)
    try:
        async with alongside(partial(mux.run, idle_timeout)):
            yield mux
            await mux.leave()
    except* PeerGoneError:
        pass  # the body has noticed first
    finally:
        with anyio.CancelScope(shield=True):
            await pipe.aclose()
