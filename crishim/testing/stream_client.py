"""A client for streams over SPDY, for tests of the server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from urllib.parse import urlsplit

from msgspec import Struct

from crishim.streaming.pipe import StreamPipe
from crishim.streaming.race import alongside
from crishim.streaming.spdy.connection import Connection
from crishim.streaming.spdy.mux import Mux


class Answer(Struct, frozen=True):
    """The head of an HTTP response. Header names are in lower case."""

    status: int
    headers: Mapping[str, str]


@asynccontextmanager
async def upgraded(
    url: str, headers: Sequence[tuple[str, str]]
) -> AsyncIterator[tuple[Answer, asyncio.StreamReader, asyncio.StreamWriter]]:
    """Send a request with ``headers`` to ``url``; what follows the head of the response is for the caller to read."""
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    try:
        lines = [f"{name}: {value}" for name, value in (("Host", parts.netloc), *headers)]
        writer.write("\r\n".join([f"POST {parts.path} HTTP/1.1", *lines, "", ""]).encode())
        yield _answer(await reader.readuntil(b"\r\n\r\n")), reader, writer
    finally:
        writer.close()


def spdy_headers(*protocols: str) -> list[tuple[str, str]]:
    """What a client sends that wants SPDY, and one of ``protocols`` in it."""
    offers = [("X-Stream-Protocol-Version", protocol) for protocol in protocols]
    return [("Connection", "Upgrade"), ("Upgrade", "SPDY/3.1"), ("Content-Length", "0"), *offers]


@asynccontextmanager
async def spdy(url: str, *protocols: str) -> AsyncIterator[Mux]:
    """A SPDY connection to ``url`` on which the caller opens streams. It is closed without a word in the end."""
    async with upgraded(url, spdy_headers(*(protocols or ("v4.channel.k8s.io",)))) as (answer, reader, writer):
        if answer.status != 101:
            raise ConnectionError(f"{answer.status}: {(await reader.read(4096)).decode()}")
        mux = Mux(StreamPipe(reader, writer), Connection(client=True), lambda _: False)
        async with alongside(partial(mux.run, 0)):
            yield mux


def _answer(head: bytes) -> Answer:
    first, *lines = head.decode("latin-1").strip().split("\r\n")
    pairs = (line.split(": ", 1) for line in lines)
    return Answer(int(first.split()[1]), {name.lower(): value for name, value in pairs})
