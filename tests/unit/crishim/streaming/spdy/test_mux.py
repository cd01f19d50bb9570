"""The streams of a connection and the tasks that use them, on pipes in memory."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial

import anyio
import pytest

from crishim.streaming.errors import PeerGoneError, StreamResetError
from crishim.streaming.intake import _HANG_UP_SECONDS, LIMIT
from crishim.streaming.race import alongside
from crishim.streaming.spdy.connection import Connection
from crishim.streaming.spdy.frames import Frame, GoAway, GoAwayStatus, Settings, SynStream, data_header, encode
from crishim.streaming.spdy.headers import HeaderCompressor
from crishim.streaming.spdy.mux import _OUT_LIMIT, Mux, multiplexed
from crishim.streaming.spdy.parser import FrameParser
from crishim.streaming.spdy.stream import Stream
from crishim.streaming.spdy.windows import STREAM_WINDOW

pytestmark = pytest.mark.anyio


class MemoryPipe:
    """One end of a pipe. ``gate`` holds up writes while it is not set."""

    def __init__(self) -> None:
        self.incoming: asyncio.Queue[bytes] = asyncio.Queue(4)
        self.outgoing: asyncio.Queue[bytes] = asyncio.Queue(4)
        self.gate = asyncio.Event()
        self.gate.set()
        self.all_taken = asyncio.Event()
        self.all_taken.set()
        self.gone = self.closed = self.waited_for_delivery = False
        self.taken = 0

    def other_end(self) -> "MemoryPipe":
        other = MemoryPipe()
        other.incoming, other.outgoing = self.outgoing, self.incoming
        return other

    async def read(self) -> bytes:
        data = await self.incoming.get()
        self.taken += len(data)
        return data

    async def write(self, parts: Sequence[bytes]) -> None:
        await self.gate.wait()
        await self.outgoing.put(b"".join(parts))

    def hung_up(self) -> bool:
        return self.gone

    async def delivered(self) -> None:
        self.waited_for_delivery = True
        await self.all_taken.wait()

    async def aclose(self) -> None:
        self.closed = True
        if not self.outgoing.full():
            self.outgoing.put_nowait(b"")


class Pair:
    """A server and a client that are connected. ``streams`` are those the client has opened, as the server has them."""

    def __init__(self) -> None:
        self.server_pipe = MemoryPipe()
        self.client_pipe = self.server_pipe.other_end()
        self.streams: list[Stream] = []
        self.opened = asyncio.Event()

    def accept(self, stream: Stream) -> bool:
        self.streams.append(stream)
        self.opened.set()
        return "refuse" not in stream.headers

    @asynccontextmanager
    async def serving(self, idle_timeout: float = 0) -> AsyncIterator[Mux]:
        async with multiplexed(self.server_pipe, Connection(), self.accept, idle_timeout=idle_timeout) as mux:
            yield mux

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[tuple[Mux, Mux]]:
        client = Mux(self.client_pipe, Connection(client=True), lambda _: False)
        async with self.serving() as server, alongside(partial(client.run, 0)):
            yield server, client
            await self.client_pipe.aclose()

    async def open(self, client: Mux) -> tuple[Stream, Stream]:
        """A new stream: the server's and the client's side of it."""
        self.opened.clear()
        stream = client.open({"kind": "test"})
        await self.opened.wait()
        return self.streams[-1], stream


@pytest.fixture
def pair() -> Pair:
    return Pair()


async def read_all(stream: Stream) -> bytes:
    parts = []
    while data := await stream.read():
        parts.append(data)
    return b"".join(parts)


async def test_both_directions(pair: Pair) -> None:
    async with pair.connected() as (_, client):
        theirs, ours = await pair.open(client)
        await ours.write(b"question")
        await ours.close()
        assert await read_all(theirs) == b"question"
        await theirs.write(b"answer")
        await theirs.close()
        assert await read_all(ours) == b"answer"


async def test_closed_streams_are_forgotten(pair: Pair) -> None:
    async with pair.connected() as (server, client):
        for _ in range(5):
            theirs, ours = await pair.open(client)
            await ours.close()
            assert await theirs.read() == b""
            await theirs.close()
            assert await ours.read() == b""
        assert [server._streams, client._streams] == [{}, {}]


async def test_a_stream_that_is_refused(pair: Pair) -> None:
    async with pair.connected() as (_, client):
        stream = client.open({"refuse": "1"})
        with pytest.raises(StreamResetError):
            await stream.read()


async def test_a_reset_reaches_who_reads_and_who_writes(pair: Pair) -> None:
    async with pair.connected() as (_, client):
        theirs, ours = await pair.open(client)
        ours.reset()
        with pytest.raises(StreamResetError):
            await theirs.read()
        with pytest.raises(StreamResetError):
            await theirs.write(b"late")


async def test_writing_after_the_end(pair: Pair) -> None:
    async with pair.connected() as (_, client):
        _, ours = await pair.open(client)
        await ours.close()
        with pytest.raises(StreamResetError, match="takes no more"):
            await ours.write(b"more")


async def test_a_writer_waits_for_a_slow_peer(pair: Pair) -> None:
    async with pair.connected() as (server, client):
        theirs, _ = await pair.open(client)
        pair.server_pipe.gate.clear()
        with anyio.move_on_after(0.05) as waiting:
            await theirs.write(bytes(10 * _OUT_LIMIT))
        assert waiting.cancelled_caught
        assert server._connection.pending <= 2 * _OUT_LIMIT
        pair.server_pipe.gate.set()


async def test_all_who_write_get_their_turn(pair: Pair) -> None:
    counts = [0] * 10

    async def count(stream: Stream, number: int) -> None:
        while max(counts) < 20:
            counts[number] += len(await stream.read()) > 0
        group.cancel_scope.cancel()

    async with pair.connected() as (_, client), anyio.create_task_group() as group:
        for number in range(len(counts)):
            theirs, ours = await pair.open(client)
            group.start_soon(theirs.write, bytes(100 * _OUT_LIMIT))
            group.start_soon(count, ours, number)
    assert min(counts) >= 10


async def flood(pipe: MemoryPipe, count: int) -> None:
    """A client that knows no windows opens a stream, sends ``count`` bytes on it, and is gone."""
    await pipe.write([encode(SynStream(1, HeaderCompressor().compress({})))])
    for _ in range(count // 1024):
        await pipe.write([data_header(1, 1024), bytes(1024)])
    await pipe.aclose()


async def ignore_all(pipe: MemoryPipe) -> None:
    while await pipe.read():
        pass


async def test_nothing_is_read_that_nobody_takes(pair: Pair) -> None:
    taken = 0
    async with pair.serving(), anyio.create_task_group() as client:
        client.start_soon(flood, pair.client_pipe, 5 * LIMIT)
        client.start_soon(ignore_all, pair.client_pipe)
        await anyio.sleep(0.2)
        taken = pair.server_pipe.taken
        pair.streams[0].discard()
    assert 0.5 * LIMIT < taken < 1.5 * LIMIT
    assert pair.server_pipe.taken > 5 * LIMIT


async def test_a_client_that_knows_windows_is_held_back_by_them(pair: Pair) -> None:
    async with pair.connected() as (_, client):
        _, ours = await pair.open(client)
        with anyio.move_on_after(0.1) as waiting:
            await ours.write(bytes(2 * STREAM_WINDOW))
        assert waiting.cancelled_caught
    assert pair.server_pipe.taken < STREAM_WINDOW + 1000


async def test_a_peer_that_hangs_up_while_nothing_is_read(pair: Pair) -> None:
    with anyio.fail_after(3 * _HANG_UP_SECONDS):
        async with pair.serving() as mux, anyio.create_task_group() as sending:
            pair.server_pipe.gone = True
            sending.start_soon(flood, pair.client_pipe, 2 * LIMIT)
            await anyio.sleep_forever()
    assert mux.over == "the client has closed the connection"


async def test_a_silent_peer_is_sent_something_while_nothing_is_read(pair: Pair) -> None:
    async with pair.serving(), anyio.create_task_group() as client:
        client.start_soon(flood, pair.client_pipe, 2 * LIMIT)
        parser, frames = FrameParser(), list[Frame]()
        with anyio.fail_after(3 * _HANG_UP_SECONDS):
            while Settings({}) not in frames:
                frames += parser.feed(await pair.client_pipe.read())
        client.cancel_scope.cancel()
        await pair.client_pipe.outgoing.put(b"")
        pair.streams[0].discard()


async def test_who_finds_the_peer_gone_needs_not_say_so(pair: Pair) -> None:
    async def find_out() -> None:
        raise PeerGoneError("gone")

    async with pair.serving():
        await find_out()
    assert pair.server_pipe.closed


async def test_a_connection_is_not_closed_before_everything_is_delivered(pair: Pair) -> None:
    pair.server_pipe.all_taken.clear()
    with anyio.move_on_after(0.1) as waiting:
        async with pair.serving(idle_timeout=0.05):
            pass
    assert not waiting.cancelled_caught  # idleness ends it
    assert pair.server_pipe.waited_for_delivery


async def test_an_idle_connection_is_ended(pair: Pair) -> None:
    async with pair.serving(idle_timeout=0.05) as mux:
        await anyio.sleep_forever()
    assert mux.over == "nothing was sent for 0.05 s"
    assert pair.server_pipe.closed


async def test_a_peer_that_closes(pair: Pair) -> None:
    async with pair.serving() as mux:
        await pair.client_pipe.outgoing.put(b"")
        await anyio.sleep_forever()
    assert mux.over == "the client has closed the connection"


async def test_a_peer_that_leaves_when_its_streams_have_ended(pair: Pair) -> None:
    async with pair.serving() as mux:
        await pair.client_pipe.outgoing.put(encode(SynStream(1, HeaderCompressor().compress({}))))
        await pair.opened.wait()
        await pair.client_pipe.outgoing.put(encode(GoAway(0, 0)))
        await anyio.sleep(0.02)
        still_there = pair.server_pipe.closed is False
        pair.streams[0].reset()
        await pair.client_pipe.outgoing.put(encode(GoAway(0, 0)))
        await anyio.sleep_forever()
    assert still_there
    assert mux.over == "the client has left"


async def test_a_peer_that_breaks_the_protocol_is_told(pair: Pair) -> None:
    async with pair.serving() as mux:
        await pair.client_pipe.outgoing.put(bytes.fromhex("8002000600000004 00000001"))
        await anyio.sleep_forever()
    assert mux.over.startswith("the client broke the protocol: ")
    sent = FrameParser().feed(await pair.client_pipe.incoming.get())
    assert list(sent)[-1] == GoAway(0, GoAwayStatus.PROTOCOL_ERROR)


async def test_leaving_sends_everything_first(pair: Pair) -> None:
    async with anyio.create_task_group() as group:
        client = await group.start(_client_that_reads_slowly, pair)
        async with pair.serving():
            await pair.opened.wait()
            await pair.streams[0].write(bytes(1000))
    assert client.result == bytes(1000)


class _Reader:
    result = b""


async def _client_that_reads_slowly(
    pair: Pair, *, task_status: anyio.abc.TaskStatus[_Reader] = anyio.TASK_STATUS_IGNORED
) -> None:
    reader = _Reader()
    connection = Connection(client=True)
    async with multiplexed(pair.client_pipe, connection, lambda _: False, idle_timeout=0) as mux:
        stream = mux.open({})
        task_status.started(reader)
        await anyio.sleep(0.05)
        reader.result = await read_all(stream)
        await stream.close()
