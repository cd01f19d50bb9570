"""Exec and attach over SPDY: every channel is a stream, which says in its headers which one it is.

Versions 1 to 4 of the protocol differ, as seen from here, in whether a terminal can be resized (from 3 on) and in how
the end is told (as an object from 4 on).
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

import anyio
from msgspec import Struct

from crishim.model.stream import AttachStream, ExecStream, Output
from crishim.streaming.errors import StreamResetError
from crishim.streaming.pipe import Pipe
from crishim.streaming.remotecommand.run import Channels, Job, run
from crishim.streaming.remotecommand.status import Ending, encode
from crishim.streaming.spdy.connection import Connection
from crishim.streaming.spdy.mux import multiplexed
from crishim.streaming.spdy.stream import Stream
from crishim.streaming.timeouts import Timeouts

_MAX_STREAMS = 8
_TYPES = ("error", "stdin", "stdout", "stderr", "resize")
_READ = ("stdin", "resize")


class Protocol(Struct, frozen=True):
    """A version of the protocol."""

    name: str
    resizes: bool = True
    structured: bool = True


PROTOCOLS = {
    protocol.name: protocol
    for protocol in (
        Protocol("v4.channel.k8s.io"),
        Protocol("v3.channel.k8s.io", structured=False),
        Protocol("v2.channel.k8s.io", structured=False, resizes=False),
        Protocol("channel.k8s.io", structured=False, resizes=False),
    )
}


class Collector:
    """Gathers the streams a client opens until those that were asked for are there."""

    def __init__(self, request: ExecStream | AttachStream, protocol: Protocol) -> None:
        self._protocol = protocol
        self._streams: dict[str, Stream] = {}
        self._changed = asyncio.Event()
        wanted = {"error": True, "stdin": request.stdin, "stdout": request.stdout, "stderr": request.stderr}
        wanted["resize"] = request.tty and protocol.resizes
        self._wanted = [kind for kind, asked in wanted.items() if asked]

    def accept(self, stream: Stream) -> bool:
        """Take in a stream; False for one of no known type, or of a type that is there."""
        kind = stream.headers.get("streamtype", "")
        if kind not in _TYPES or kind in self._streams:
            return False
        self._streams[kind] = stream
        if kind not in self._wanted or kind not in _READ:
            stream.discard()  # nothing is expected on it
        self._changed.set()
        return True

    @property
    def missing(self) -> list[str]:
        """The types of streams that the client has still to open."""
        return [kind for kind in self._wanted if kind not in self._streams]

    async def complete(self) -> None:
        """Wait until nothing is missing."""
        while self.missing:
            self._changed.clear()
            await self._changed.wait()

    def channels(self) -> Channels:
        """The streams that were asked for, when none is missing."""
        wanted = {kind: self._streams[kind] for kind in self._wanted}
        return Channels(
            error=wanted["error"],
            stdin=wanted.get("stdin"),
            outputs={output: wanted[output] for output in Output if output in wanted},
            resize=wanted.get("resize"),
            structured=self._protocol.structured,
        )

    async def complain(self, seconds: float) -> None:
        """Tell the client, if it can be told, that it has not opened what it asked for."""
        error = self._streams.get("error")
        if error is not None:
            message = f"the client has not opened its {', '.join(self.missing)} within {seconds:g} s"
            with suppress(StreamResetError):
                await error.write(encode(Ending(error=message), structured=self._protocol.structured))


async def serve(pipe: Pipe, job: Job, protocol: Protocol, timeouts: Timeouts) -> None:
    """Serve one exec or attach on an upgraded connection."""
    collector = Collector(job.request, protocol)
    connection = Connection(max_streams=_MAX_STREAMS)
    async with multiplexed(pipe, connection, collector.accept, idle_timeout=timeouts.idle):
        with anyio.move_on_after(timeouts.creation):
            await collector.complete()
        if collector.missing:
            await collector.complain(timeouts.creation)
        else:
            await run(job, collector.channels())
