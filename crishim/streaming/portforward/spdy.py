"""Port-forward over SPDY: a client opens a pair of streams for each connection, one for data and one for an error."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import anyio
import structlog

from crishim.streaming.pipe import Pipe
from crishim.streaming.portforward.relay import Dial, forward
from crishim.streaming.spdy.connection import Connection
from crishim.streaming.spdy.mux import multiplexed
from crishim.streaming.spdy.stream import Stream
from crishim.streaming.timeouts import Timeouts

PROTOCOL = "portforward.k8s.io"

_KINDS = ("data", "error")

_log = structlog.get_logger(__name__)


class Pair:
    """The streams of one connection, as far as they are there."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.streams: dict[str, Stream] = {}
        self.complete = asyncio.Event()

    def add(self, kind: str, stream: Stream) -> None:
        """Take in a stream; of each kind there is one."""
        self.streams[kind] = stream
        if kind == "error":
            stream.discard()  # nothing is expected on it
        if len(self.streams) == len(_KINDS):
            self.complete.set()


class Collector:
    """Sorts the streams that a client opens into pairs; ``pairs`` gets each when its first stream is there."""

    def __init__(self) -> None:
        self.pairs: asyncio.Queue[tuple[str, Pair]] = asyncio.Queue()
        self._open: dict[str, Pair] = {}

    def accept(self, stream: Stream) -> bool:
        """Take in a stream; False for one whose headers do not say which one it is, or say what another has said."""
        kind, port = stream.headers.get("streamtype", ""), _port(stream.headers)
        if kind not in _KINDS or not port:
            return False
        request_id = stream.headers.get("requestid") or _guess_request_id(kind, stream.id)
        pair = self._open.get(request_id)
        if pair is None:
            pair = self._open[request_id] = Pair(port)
            self.pairs.put_nowait((request_id, pair))
        elif kind in pair.streams or pair.port != port:
            return False
        pair.add(kind, stream)
        return True

    def forget(self, request_id: str) -> None:
        """Let the request id be used again."""
        del self._open[request_id]


async def serve(pipe: Pipe, dial: Dial, timeouts: Timeouts) -> None:
    """Serve all connections of one client, until it goes."""
    collector = Collector()
    async with (
        multiplexed(pipe, Connection(), collector.accept, idle_timeout=timeouts.idle),
        anyio.create_task_group() as connections,
    ):
        while True:
            request_id, pair = await collector.pairs.get()
            connections.start_soon(_serve_pair, collector, request_id, pair, dial, timeouts.creation)


async def _serve_pair(collector: Collector, request_id: str, pair: Pair, dial: Dial, creation_timeout: float) -> None:
    with anyio.move_on_after(creation_timeout):
        await pair.complete.wait()
    collector.forget(request_id)
    if not pair.complete.is_set():
        _log.info("port forward without its second stream", port=pair.port)
        for stream in pair.streams.values():
            stream.reset()
        return
    data, error = pair.streams["data"], pair.streams["error"]
    if not await forward(dial, pair.port, data, error):
        data.reset()
    await error.close()


def _port(headers: Mapping[str, str]) -> int:
    """The port that is asked for; 0 when it is not a port."""
    text = headers.get("port", "")
    port = int(text) if text.isascii() and text.isdigit() and len(text) <= 5 else 0
    return port if port < 1 << 16 else 0


def _guess_request_id(kind: str, stream_id: int) -> str:
    """For clients that name no request: they open the error stream first, and the data stream next."""
    return f"stream {stream_id if kind == 'error' else stream_id - 2}"
