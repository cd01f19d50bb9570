"""Exec in a WebSocket, with every subprotocol."""

import base64
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress

import aiohttp
import anyio
import pytest
from aiohttp import ClientWebSocketResponse, WSMsgType

pytestmark = pytest.mark.anyio

MakeUrl = Callable[..., str]
Ended = Callable[[], Awaitable[str]]
BINARY = ["v5.channel.k8s.io", "v4.channel.k8s.io", "channel.k8s.io", ""]
TEXT = ["v4.base64.channel.k8s.io", "base64.channel.k8s.io"]


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


def subprotocols(name: str) -> tuple[str, ...]:
    return ("v9.channel.k8s.io", name) if name else ()


async def receive_all(socket: ClientWebSocketResponse) -> dict[int, bytes]:
    """What came on each channel until the server closed the socket in order."""
    received: dict[int, bytes] = {}
    with anyio.fail_after(10):
        async for message in socket:
            text = message.type is WSMsgType.TEXT
            channel = int(message.data[0]) if text else message.data[0]
            data = base64.b64decode(message.data[1:]) if text else message.data[1:]
            received[channel] = received.get(channel, b"") + data
    assert socket.close_code == aiohttp.WSCloseCode.OK
    return received


@pytest.mark.parametrize("name", BINARY)
async def test_bytes(exec_url: MakeUrl, http: aiohttp.ClientSession, name: str) -> None:
    async with http.ws_connect(exec_url("echo", "hello"), protocols=subprotocols(name)) as socket:
        received = await receive_all(socket)
        assert (socket.protocol or "") == name
    assert received[1] == b"hello\n"
    assert received.get(3, b"") == (b'{"status":"Success"}' if name[:1] == "v" else b"")


@pytest.mark.parametrize("name", TEXT)
async def test_text(exec_url: MakeUrl, http: aiohttp.ClientSession, name: str) -> None:
    async with http.ws_connect(exec_url("leave", "7"), protocols=subprotocols(name)) as socket:
        received = await receive_all(socket)
    assert received[1] == b"bye\n"
    expected = json.loads(received[3])["reason"] if name[:1] == "v" else received[3].decode()
    assert expected in ("NonZeroExitCode", "command terminated with non-zero exit code 7")


async def test_the_first_message_is_empty(exec_url: MakeUrl, http: aiohttp.ClientSession) -> None:
    async with http.ws_connect(exec_url("sleep"), protocols=subprotocols("v4.channel.k8s.io")) as socket:
        assert await socket.receive_bytes() == b"\x01"


async def test_input_and_its_end(exec_url: MakeUrl, http: aiohttp.ClientSession) -> None:
    async with http.ws_connect(exec_url("count"), protocols=subprotocols("v5.channel.k8s.io")) as socket:
        for _ in range(100):
            await socket.send_bytes(b"\0" + bytes(30_000))
        await socket.send_bytes(b"\xff\0")
        received = await receive_all(socket)
    assert received[1] == b"3000000\n"


async def test_input_as_text(exec_url: MakeUrl, http: aiohttp.ClientSession) -> None:
    async with http.ws_connect(exec_url("cat"), protocols=subprotocols("v4.base64.channel.k8s.io")) as socket:
        await socket.send_str("0" + base64.b64encode(b"hello").decode())
        assert (await socket.receive_str()) == "1"
        assert (await socket.receive_str()) == "1aGVsbG8="


async def test_a_terminal(exec_url: MakeUrl, http: aiohttp.ClientSession) -> None:
    url = exec_url("measure", stderr=False, tty=True)
    async with http.ws_connect(url, protocols=subprotocols("v5.channel.k8s.io")) as socket:
        await socket.send_bytes(b'\4{"Width":80,"Height":24}')
        received = await receive_all(socket)
    assert received[1] == b"80x24\n"


async def test_pings_are_answered(exec_url: MakeUrl, http: aiohttp.ClientSession) -> None:
    async with http.ws_connect(
        exec_url("sleep"), protocols=subprotocols("v5.channel.k8s.io"), autoping=False
    ) as socket:
        await socket.ping(b"there?")
        with anyio.fail_after(5):
            while (message := await socket.receive()).type is not WSMsgType.PONG:
                pass
        assert message.data == b"there?"


async def test_messages_of_other_channels_are_ignored(exec_url: MakeUrl, http: aiohttp.ClientSession) -> None:
    async with http.ws_connect(exec_url("count"), protocols=subprotocols("v5.channel.k8s.io")) as socket:
        for payload in (b"\x01" + bytes(3_000_000), b"\x09other", b"", b"\0five!", b"\xff\0"):
            await socket.send_bytes(payload)
        received = await receive_all(socket)
    assert received[1] == b"5\n"


@pytest.mark.parametrize(
    ("name", "payload"), [("v5.channel.k8s.io", b"\xff"), ("v4.base64.channel.k8s.io", b"0not base64")]
)
async def test_messages_that_are_none_end_the_stream(
    exec_url: MakeUrl, http: aiohttp.ClientSession, name: str, payload: bytes
) -> None:
    async with http.ws_connect(exec_url("sleep"), protocols=subprotocols(name)) as socket:
        await socket.send_bytes(payload)
        with anyio.fail_after(5):
            async for _ in socket:
                pass
        assert socket.close_code == aiohttp.WSCloseCode.PROTOCOL_ERROR


async def test_a_message_that_is_too_long_ends_the_stream(
    exec_url: MakeUrl, http: aiohttp.ClientSession, ended: Ended
) -> None:
    async with http.ws_connect(exec_url("sleep"), protocols=subprotocols("v5.channel.k8s.io")) as socket:
        with suppress(OSError):  # the connection is gone before everything is sent
            await socket.send_bytes(bytes(5 * 1024 * 1024))
        assert await ended() == "killed"


async def test_unknown_subprotocols_leave_the_token_good(exec_url: MakeUrl, http: aiohttp.ClientSession) -> None:
    url = exec_url("echo", "hello")
    with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
        await http.ws_connect(url, protocols=["v9.channel.k8s.io"])
    assert caught.value.status == 403
    async with http.ws_connect(url, protocols=["v5.channel.k8s.io"]) as socket:
        assert (await receive_all(socket))[1] == b"hello\n"


async def test_a_url_is_good_once(exec_url: MakeUrl, http: aiohttp.ClientSession) -> None:
    url = exec_url("echo")
    async with http.ws_connect(url, protocols=["v5.channel.k8s.io"]) as socket:
        await receive_all(socket)
    with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
        await http.ws_connect(url, protocols=["v5.channel.k8s.io"])
    assert caught.value.status == 404
