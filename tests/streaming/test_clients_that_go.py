"""Clients that vanish, stall, are idle or slow: whatever they do, it ends, and nobody else notices."""

import asyncio
import gc
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import aiohttp
import anyio
import pytest
from aiohttp.web_protocol import RequestHandler
from structlog.testing import capture_logs

from crishim.model.stream import ExecStream
from crishim.streaming.service import Streams
from crishim.streaming.spdy.connection import Connection
from crishim.streaming.spdy.frames import RstStream, encode
from crishim.testing.stream_client import spdy, spdy_headers, upgraded

pytestmark = pytest.mark.anyio

MakeUrl = Callable[..., str]
Ended = Callable[[], Awaitable[str]]
KINDS = ("error", "stdin", "stdout", "stderr")


class RawClient:
    """A SPDY client that reads and writes only when told to."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.spdy = Connection(client=True)
        self.ids = {kind: self.spdy.open({"streamtype": kind}) for kind in KINDS}
        self.flush()

    def flush(self) -> None:
        self.writer.write(b"".join(self.spdy.take_output()))

    async def send(self, kind: str, data: bytes) -> None:
        """As much as the network takes within a second, without waiting for anything else."""
        for start in range(0, len(data), 65536):
            self.spdy.send(self.ids[kind], data[start : start + 65536])
        self.flush()
        with anyio.move_on_after(1):
            await self.writer.drain()

    async def receive_all(self) -> int:
        """How many bytes come up to the end of the status."""
        total, last = 0, b""
        while b'"Success"}' not in last:
            data = await self.reader.read(1 << 20)
            assert data, "the connection ended before the status came"
            total, last = total + len(data), (last + data)[-1000:]
        return total


@asynccontextmanager
async def raw(url: str) -> AsyncIterator[RawClient]:
    async with upgraded(url, spdy_headers("v4.channel.k8s.io")) as (_, reader, writer):
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        yield RawClient(reader, writer)


@pytest.mark.parametrize("program", [("sleep",), ("produce", str(1 << 40)), ("cat",)])
async def test_a_client_that_vanishes_ends_its_command(
    exec_url: MakeUrl, ended: Ended, program: tuple[str, ...]
) -> None:
    async with spdy(exec_url(*program)) as mux:
        for kind in KINDS:
            mux.open({"streamtype": kind})
        await anyio.sleep(0.1)
    assert await ended() == "killed"


async def test_a_client_that_vanishes_from_a_websocket_ends_its_command(exec_url: MakeUrl, ended: Ended) -> None:
    async with aiohttp.ClientSession() as http:
        messages = await http.ws_connect(exec_url("sleep"), protocols=["v5.channel.k8s.io"])
        await messages.receive()
        assert messages._response.connection
        messages._response.connection.transport.abort()  # type: ignore[union-attr]  # without a word
        assert await ended() == "killed"


@pytest.mark.parametrize("protocol", ["v5.channel.k8s.io", "v4.base64.channel.k8s.io"])
async def test_clients_that_vanish_at_once_are_nothing_to_complain_of(exec_url: MakeUrl, protocol: str) -> None:
    with capture_logs() as logs:
        for _ in range(20):
            async with aiohttp.ClientSession() as http:
                messages = await http.ws_connect(exec_url("produce", "1000000"), protocols=[protocol])
                await messages.ping()
                assert messages._response.connection
                messages._response.connection.transport.abort()  # type: ignore[union-attr]
        for _ in range(20):
            async with upgraded(exec_url("produce", "1000000"), spdy_headers("v4.channel.k8s.io")) as (_, _, writer):
                writer.transport.abort()
        await anyio.sleep(0.2)
    assert [entry for entry in logs if entry["log_level"] == "error"] == []


async def test_a_client_that_closes_a_websocket_ends_its_command(exec_url: MakeUrl, ended: Ended) -> None:
    async with (
        aiohttp.ClientSession() as http,
        http.ws_connect(exec_url("sleep"), protocols=["v5.channel.k8s.io"]) as messages,
    ):
        await messages.receive()
    assert await ended() == "killed"


async def test_a_client_that_only_stops_sending_is_gone(exec_url: MakeUrl, ended: Ended) -> None:
    async with raw(exec_url("sleep")) as client:
        client.writer.write_eof()
        assert await ended() == "killed"


async def test_a_client_that_vanishes_while_its_input_is_not_read(exec_url: MakeUrl, ended: Ended) -> None:
    async with raw(exec_url("deaf", "1000")) as client:
        await client.send("stdin", bytes(4 * 1024 * 1024))
        client.writer.transport.abort()
        assert await ended() == "killed"


async def test_a_client_that_vanishes_from_a_websocket_while_its_input_is_not_read(
    exec_url: MakeUrl, ended: Ended
) -> None:
    async with aiohttp.ClientSession() as http:
        messages = await http.ws_connect(exec_url("deaf", "1000"), protocols=["v5.channel.k8s.io"])
        with anyio.move_on_after(1):
            while True:
                await messages.send_bytes(b"\0" + bytes(1024 * 1024))
        assert messages._response.connection
        messages._response.connection.transport.abort()  # type: ignore[union-attr]
        assert await ended() == "killed"


async def test_a_client_that_does_not_read_is_waited_for(exec_url: MakeUrl, ended: Ended, exec_backend: object) -> None:
    async with raw(exec_url("produce", str(64 * 1024 * 1024))) as client:
        with anyio.move_on_after(0.5) as waiting:
            await ended()
        assert waiting.cancelled_caught
        assert await client.receive_all() > 64 * 1024 * 1024
        assert await ended() == "by itself"


async def test_the_end_of_the_output_waits_for_a_slow_client(exec_url: MakeUrl, ended: Ended) -> None:
    async with raw(exec_url("produce", "300000")) as client:
        assert await ended() == "by itself"
        client.writer.write(encode(RstStream(client.ids["stdin"], 5)))  # what would be answered by a reset of all
        await anyio.sleep(0.2)
        assert await client.receive_all() > 300_000


async def test_a_slow_client_holds_up_nobody(exec_url: MakeUrl) -> None:
    async with raw(exec_url("produce", str(1 << 30))), spdy(exec_url("echo", "quick")) as mux:
        _, _, stdout, _ = (mux.open({"streamtype": kind}) for kind in KINDS)
        with anyio.fail_after(2):
            assert await stdout.read() == b"quick\n"


async def test_an_idle_stream_is_ended(start: Callable[..., Awaitable[Streams]], ended: Ended) -> None:
    streams = await start(idle_timeout=0.2)
    wanted = ExecStream(container_id="c0", command=("sleep",), stdin=True, stdout=True, stderr=True)
    async with raw(streams.exec(wanted)):
        assert await ended() == "killed"


async def test_an_idle_websocket_is_ended(start: Callable[..., Awaitable[Streams]], ended: Ended) -> None:
    streams = await start(idle_timeout=0.2)
    wanted = ExecStream(container_id="c0", command=("sleep",), stdout=True)
    async with (
        aiohttp.ClientSession() as http,
        http.ws_connect(streams.exec(wanted), protocols=["v5.channel.k8s.io"]) as messages,
    ):
        async for _ in messages:
            pass
        assert messages.close_code == aiohttp.WSCloseCode.GOING_AWAY
        assert await ended() == "killed"


async def test_pings_keep_a_stream(start: Callable[..., Awaitable[Streams]]) -> None:
    streams = await start(idle_timeout=0.3)
    wanted = ExecStream(container_id="c0", command=("sleep",), stdout=True)
    async with (
        aiohttp.ClientSession() as http,
        http.ws_connect(streams.exec(wanted), protocols=["v5.channel.k8s.io"], heartbeat=0.1) as messages,
    ):
        with anyio.move_on_after(1) as waiting:
            async for _ in messages:
                pass
        assert waiting.cancelled_caught


async def test_what_is_sent_on_an_output_holds_up_nothing(exec_url: MakeUrl) -> None:
    async with raw(exec_url("count")) as client:
        await client.send("stderr", bytes(4 * 1024 * 1024))
        await client.send("stdin", b"12345")
        client.spdy.finish(client.ids["stdin"])
        client.flush()
        with anyio.fail_after(5):
            assert await client.receive_all() > 0


async def test_ended_connections_are_forgotten(exec_url: MakeUrl) -> None:
    for _ in range(5):
        async with raw(exec_url("echo")) as client:
            await client.receive_all()
    await anyio.sleep(0.1)
    gc.collect()
    assert not [one for one in gc.get_objects() if isinstance(one, RequestHandler)]


async def test_one_hundred_streams_at_once(exec_url: MakeUrl) -> None:
    async def one(number: int) -> None:
        async with spdy(exec_url("cat")) as mux:
            _, stdin, stdout, _ = (mux.open({"streamtype": kind}) for kind in KINDS)
            text = b"%d " % number * 1000
            await stdin.write(text)
            await stdin.close()
            received = b""
            while data := await stdout.read():
                received += data
            assert received == text
            done.append(number)

    done: list[int] = []
    async with anyio.create_task_group() as group:
        for number in range(100):
            group.start_soon(one, number)
    assert len(done) == 100
