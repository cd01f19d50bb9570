"""Bytes that no client sends: the connection ends, the command with it, and the server goes on."""

import asyncio
import struct
import zlib
from collections.abc import Awaitable, Callable
from contextlib import suppress
from urllib.parse import urlsplit

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crishim.core.config.types import StreamServer
from crishim.model.stream import ExecStream
from crishim.streaming.ports import Backends
from crishim.streaming.server import serving_streams
from crishim.streaming.spdy.dictionary import DICTIONARY
from crishim.streaming.spdy.frames import (
    GoAway,
    GoAwayStatus,
    Ping,
    RstStream,
    SynStream,
    WindowUpdate,
    data_header,
    encode,
)
from crishim.streaming.spdy.headers import HeaderCompressor
from crishim.streaming.spdy.parser import FrameParser
from crishim.testing.stream_client import spdy, spdy_headers, upgraded
from crishim.testing.streams import FakeAttach, FakeDialer, FakeExec, FakeLookup

pytestmark = pytest.mark.anyio

MakeUrl = Callable[..., str]
Ended = Callable[[], Awaitable[str]]
V4 = spdy_headers("v4.channel.k8s.io")


async def still_serves(exec_url: MakeUrl) -> bool:
    output = b""
    async with spdy(exec_url("echo", "fine", stderr=False)) as mux:
        _, _, stdout = (mux.open({"streamtype": kind}) for kind in ("error", "stdin", "stdout"))
        output = await stdout.read()
    return output == b"fine\n"


def bomb() -> bytes:
    compressor = zlib.compressobj(level=9, zdict=DICTIONARY)
    return compressor.compress(bytes(40 * 1024 * 1024)) + compressor.flush(zlib.Z_SYNC_FLUSH)


FATAL = {
    "another version": bytes.fromhex("8002000600000004 00000001"),
    "a frame that is too long": struct.pack(">II", 0x80030001, 1 << 20),
    "a frame that is too short": bytes.fromhex("8003000100000004 00000001"),
    "a header bomb": encode(SynStream(1, bomb())),
    "headers that are nonsense": encode(SynStream(1, b"nonsense")),
    "an even id": encode(SynStream(2, HeaderCompressor().compress({}))),
    "a window of nothing": encode(WindowUpdate(0, 0)),
}


@pytest.mark.parametrize("data", FATAL.values(), ids=FATAL)
async def test_what_ends_a_connection(exec_url: MakeUrl, data: bytes) -> None:
    async with upgraded(exec_url("echo"), V4) as (_, reader, writer):
        writer.write(data)
        with anyio.fail_after(5):
            received = await reader.read()
    assert list(FrameParser().feed(received))[-1] == GoAway(0, GoAwayStatus.PROTOCOL_ERROR)
    assert await still_serves(exec_url)


async def test_a_flood_of_pings_that_nobody_reads(exec_url: MakeUrl) -> None:
    async with upgraded(exec_url("echo"), V4) as (_, _, writer):
        sent = 0
        with anyio.move_on_after(1):
            while True:
                writer.write(encode(Ping(1)) * 10_000)
                sent += 120_000
                await writer.drain()
        assert sent < 30 * 1024 * 1024  # held back by what the kernel and the server keep
    assert await still_serves(exec_url)


async def test_a_flood_of_streams(exec_url: MakeUrl) -> None:
    compressor = HeaderCompressor()
    async with upgraded(exec_url("echo"), V4) as (_, reader, writer):
        writer.write(
            b"".join(encode(SynStream(2 * i + 1, compressor.compress({"streamtype": "x"}))) for i in range(5000))
        )
        await writer.drain()
        parser, refused = FrameParser(), 0
        while refused < 5000:
            refused += sum(isinstance(frame, RstStream) for frame in parser.feed(await reader.read(65536)))
    assert await still_serves(exec_url)


async def test_data_for_streams_that_are_not_there(exec_url: MakeUrl) -> None:
    async with upgraded(exec_url("echo"), V4) as (_, reader, writer):
        writer.write((data_header(99, 1000) + bytes(1000)) * 100)
        with anyio.fail_after(5):
            assert await reader.readexactly(16)
    assert await still_serves(exec_url)


@pytest.mark.parametrize(
    "request_text", [b"", b"POST /exec/x HTTP/1.1\r\nHost:", b"\x80\x03\0\1", b"GET / HTTP/9\r\n\r\n"]
)
async def test_what_is_hardly_a_request(exec_url: MakeUrl, request_text: bytes) -> None:
    parts = urlsplit(exec_url("echo"))
    _, writer = await asyncio.open_connection(parts.hostname, parts.port)
    writer.write(request_text)
    assert await still_serves(exec_url)
    writer.close()


@pytest.mark.parametrize(
    "path", ["/", "/exec", "/exec/", "/exec/a/b", "/../exec/x", "/portforward/%00", "/exec/" + "x" * 5000]
)
async def test_paths_that_are_not_there(exec_url: MakeUrl, path: str) -> None:
    parts = urlsplit(exec_url("echo"))
    async with upgraded(f"http://{parts.netloc}{path}", V4) as (answer, _, _):
        assert answer.status in (400, 403, 404)
    assert await still_serves(exec_url)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.binary(max_size=200) | st.sampled_from(sorted(FATAL.values())), max_size=4))
async def test_any_bytes_end_without_a_trace(chunks: list[bytes]) -> None:
    """A server of its own for each example: when it stops, nothing of a stream is left."""
    lookup, backend = FakeLookup(), FakeExec()
    backends = Backends(
        exec=backend,
        attach=FakeAttach(),
        dialer=FakeDialer(),
        containers=lookup.containers,
        sandboxes=lookup.sandboxes,
    )
    before = asyncio.all_tasks()
    async with serving_streams(StreamServer(), backends) as streams:
        url = streams.exec(ExecStream(container_id="c0", command=("sleep",), stdout=True))
        async with upgraded(url, V4) as (_, reader, writer):
            with suppress(OSError):
                writer.write(b"".join(chunks))
                writer.write_eof()
                with anyio.fail_after(5):
                    await reader.read()
    assert asyncio.all_tasks() == before
    assert not backend.sessions
