"""Port-forward over SPDY, in a WebSocket, and over SPDY in a WebSocket."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial

import aiohttp
import anyio
import pytest

from crishim.model.stream import PortForwardStream
from crishim.streaming.errors import StreamResetError
from crishim.streaming.pipe import WebSocketPipe
from crishim.streaming.portforward.websocket import TUNNELS
from crishim.streaming.race import alongside
from crishim.streaming.service import Streams
from crishim.streaming.spdy.connection import Connection
from crishim.streaming.spdy.mux import Mux
from crishim.streaming.spdy.stream import Stream
from crishim.testing.stream_client import spdy
from crishim.testing.streams import FakeDialer

pytestmark = pytest.mark.anyio

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
PROTOCOL = "portforward.k8s.io"
NO_PORT = 1


async def shout(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer everything at the end of the question, in capitals."""
    writer.write((await reader.read()).upper())
    await writer.drain()
    writer.close()


async def slam(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Break the connection off."""
    await reader.readexactly(1)
    at_once = struct.pack("ii", 1, 0)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, at_once)
    writer.transport.abort()


@asynccontextmanager
async def pod(serve: Serve) -> AsyncIterator[int]:
    """A port of the pod."""
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


@pytest.fixture
def make_url(streams: Streams) -> Callable[..., str]:
    def make(*ports: int) -> str:
        return streams.port_forward(PortForwardStream(sandbox_id="c0", ports=ports))

    return make


def open_pair(mux: Mux, port: int, request: str | None = "0") -> tuple[Stream, Stream]:
    headers = {"port": str(port)} | ({"requestid": request} if request is not None else {})
    return mux.open(headers | {"streamtype": "error"}), mux.open(headers | {"streamtype": "data"})


async def read_all(stream: Stream) -> bytes:
    parts = []
    while data := await stream.read():
        parts.append(data)
    return b"".join(parts)


async def ask(mux: Mux, port: int, question: bytes, request: str | None = "0") -> tuple[bytes, bytes]:
    """The answer, and what the error stream said."""
    error, data = open_pair(mux, port, request)
    await error.close()
    await data.write(question)
    await data.close()
    return await read_all(data), await read_all(error)


@pytest.mark.parametrize("request_id", ["0", None])
async def test_a_connection(make_url: Callable[..., str], dialer: FakeDialer, request_id: str | None) -> None:
    async with pod(shout) as port, spdy(make_url(), PROTOCOL) as mux:
        assert await ask(mux, port, b"hello", request_id) == (b"HELLO", b"")
        assert await ask(mux, port, b"again", request_id) == (b"AGAIN", b"")
    assert dialer.dialed == [("/run/netns/web", port)] * 2


async def test_a_port_that_nobody_listens_on(make_url: Callable[..., str]) -> None:
    async with pod(shout) as port, spdy(make_url(), PROTOCOL) as mux:
        error, data = open_pair(mux, NO_PORT)
        with pytest.raises(StreamResetError):
            await data.read()
        text = await read_all(error)
        assert text.startswith(b"error forwarding port 1: cannot connect to port 1")
        assert await ask(mux, port, b"still", "1") == (b"STILL", b"")


async def test_a_pod_that_breaks_a_connection_off(make_url: Callable[..., str]) -> None:
    async with pod(slam) as port, spdy(make_url(), PROTOCOL) as mux:
        error, data = open_pair(mux, port)
        await data.write(b"x")
        with pytest.raises(StreamResetError):
            await data.read()
        assert await read_all(error) == b""


async def test_a_client_that_breaks_a_connection_off(make_url: Callable[..., str]) -> None:
    async def notice(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        noticed.set_result(await reader.read())
        writer.close()

    noticed = asyncio.get_running_loop().create_future()
    async with pod(notice) as port, spdy(make_url(), PROTOCOL) as mux:
        error, data = open_pair(mux, port)
        await data.write(b"x")
        await anyio.sleep(0.05)
        data.reset()
        assert await read_all(error) == b""
        assert await noticed == b"x"


async def test_the_pod_may_end_first(make_url: Callable[..., str]) -> None:
    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"hi")
        writer.write_eof()
        heard.set_result(await reader.read())
        writer.close()

    heard = asyncio.get_running_loop().create_future()
    async with pod(greet) as port, spdy(make_url(), PROTOCOL) as mux:
        _, data = open_pair(mux, port)
        assert await read_all(data) == b"hi"
        await data.write(b"thank you")
        await data.close()
        assert await heard == b"thank you"


async def test_a_client_that_ends_when_the_error_stream_has(make_url: Callable[..., str]) -> None:
    async def answer_and_close(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write((await reader.readline()).upper())
        await writer.drain()
        writer.close()

    async with pod(answer_and_close) as port, spdy(make_url(), PROTOCOL) as mux:
        error, data = open_pair(mux, port)
        await error.close()
        await data.write(b"hello\n")
        with anyio.fail_after(5):
            assert [await read_all(data), await read_all(error)] == [b"HELLO\n", b""]
        await data.close()


REFUSED = [
    {"streamtype": "data"},
    {"port": "80"},
    {"port": "0", "streamtype": "data"},
    {"port": "65536", "streamtype": "data"},
    {"port": "-1", "streamtype": "data"},
    {"port": "\xb2", "streamtype": "data"},
    {"port": "80", "streamtype": "stdin"},
    {"port": "80", "streamtype": "error", "requestid": "0"},
    {"port": "81", "streamtype": "data", "requestid": "0"},
]


@pytest.mark.parametrize("headers", REFUSED)
async def test_streams_that_are_refused(make_url: Callable[..., str], headers: dict[str, str]) -> None:
    async with spdy(make_url(), PROTOCOL) as mux:
        mux.open({"port": "80", "streamtype": "error", "requestid": "0"})
        with pytest.raises(StreamResetError):
            await mux.open(headers).read()


async def test_a_stream_whose_other_half_does_not_come(start: Callable[..., Awaitable[Streams]]) -> None:
    impatient = await start(creation_timeout=0.1)
    async with spdy(impatient.port_forward(PortForwardStream(sandbox_id="c0")), PROTOCOL) as mux:
        stream = mux.open({"port": "80", "streamtype": "data", "requestid": "0"})
        with pytest.raises(StreamResetError):
            await stream.read()


async def test_many_connections_at_once(make_url: Callable[..., str]) -> None:
    async def one(mux: Mux, port: int, number: int) -> None:
        question = b"%d " % number * 5000
        assert await ask(mux, port, question, str(number)) == (question.upper(), b"")

    async with pod(shout) as port, spdy(make_url(), PROTOCOL) as mux, anyio.create_task_group() as group:
        for number in range(100):
            group.start_soon(one, mux, port, number)


# ---- WebSocket


@asynccontextmanager
async def websocket(url: str, subprotocol: str) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    async with aiohttp.ClientSession() as http, http.ws_connect(url, protocols=[subprotocol]) as messages:
        assert messages.protocol == subprotocol
        yield messages


async def test_channels_of_a_websocket(make_url: Callable[..., str]) -> None:
    async def answer_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write((await reader.readline()).upper())
        await writer.drain()
        writer.close()

    async with pod(answer_once) as port, websocket(make_url(port, NO_PORT), "v4.channel.k8s.io") as messages:
        await messages.send_bytes(b"\0hello\n")
        received: dict[int, bytes] = {}
        async for message in messages:
            received[message.data[0]] = received.get(message.data[0], b"") + message.data[1:]
        assert messages.close_code == aiohttp.WSCloseCode.OK
    little = port.to_bytes(2, "little")
    assert [received[0], received[1], received[2]] == [little + b"HELLO\n", little, b"\x01\x00"]
    assert received[3].startswith(b"\x01\x00error forwarding port 1: ")


@pytest.mark.parametrize("count", [0, 41])
async def test_channels_need_ports_and_have_numbers_for_so_many(make_url: Callable[..., str], count: int) -> None:
    url = make_url(*range(1, count + 1))
    with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
        async with websocket(url, "v4.channel.k8s.io"):
            pass
    assert caught.value.status == 400
    async with pod(shout) as port, spdy(url, PROTOCOL) as mux:
        assert await ask(mux, port, b"by another way") == (b"BY ANOTHER WAY", b"")


@pytest.mark.parametrize("subprotocol", TUNNELS)
async def test_spdy_in_a_websocket(make_url: Callable[..., str], subprotocol: str) -> None:
    async with pod(shout) as port, websocket(make_url(), subprotocol) as messages:
        pipe = WebSocketPipe(messages, None)  # type: ignore[arg-type]  # a client's socket has the same methods
        mux = Mux(pipe, Connection(client=True), lambda _: False)
        async with alongside(partial(mux.run, 0)):
            assert await ask(mux, port, b"hello") == (b"HELLO", b"")
            assert await ask(mux, port, b"x" * 500_000, "1") == (b"X" * 500_000, b"")
