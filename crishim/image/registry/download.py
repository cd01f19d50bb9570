"""Downloading a blob into the store: checked as it comes, resumed where a connection broke."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Protocol

import aiohttp
from aiohttp import ClientResponse

from crishim.image.digest import Digest
from crishim.image.errors import ContentError
from crishim.image.ports import BlobWriter
from crishim.image.progress import MIN_BYTES
from crishim.image.registry.client import RegistryClient, TemporaryError
from crishim.image.registry.hosts import PULL, RegistryHost
from crishim.image.registry.transport import reason

_BATCH = 1 << 20


class Watcher(Protocol):
    """Is told how far a download has come."""

    def at(self, offset: int, host: str) -> None:
        """``offset`` bytes are there, the last of them from ``host``."""
        ...


async def download(client: RegistryClient, digest: Digest, size: int, writer: BlobWriter, watcher: Watcher) -> None:
    """Fetch blob ``digest`` of ``size`` bytes into ``writer``, which checks it.

    A broken connection is resumed at the same host, however often, as long as MIN_BYTES come in between. Otherwise,
    and when the host did not go on but began anew, that was one of its few attempts: else it could send the same bytes
    for ever. Another host starts from the beginning, so that one that lies cannot spoil what an honest one sends.
    """

    sender: RegistryHost | None = None

    async def from_host(host: RegistryHost) -> None:
        nonlocal sender
        if host is not sender:
            await writer.restart()
            sender = host
        while not await _once(client, host, digest, size, writer, watcher):
            pass

    await client.on_each_host(PULL, from_host)


async def _once(
    client: RegistryClient, host: RegistryHost, digest: Digest, size: int, writer: BlobWriter, watcher: Watcher
) -> bool:
    """One request; True when the blob is whole, False when the connection broke after enough that was new."""
    before = writer.offset
    headers = {"Range": f"bytes={before}-"} if before else {}
    async with client.request("GET", host, "blobs", digest, **headers) as response:
        is_anew = before > 0 and not _continues(response, before)
        if is_anew:
            before = 0
            await writer.restart()
        _check_length(response, digest, size - before)
        try:
            await _pour(response, writer, watcher, host.host)
        except (aiohttp.ClientError, TimeoutError, OSError) as exc:
            if writer.offset < size:  # else only the end of the answer is missing, which has nothing of the blob
                if not is_anew and writer.offset - before >= MIN_BYTES:
                    return False
                raise TemporaryError(f"registry {host.host}: blob {digest}: {reason(exc)}") from exc
    try:
        await writer.verify()
    except ContentError as exc:
        raise ContentError(f"registry {host.host}: {exc}") from exc
    return True


def _continues(response: ClientResponse, offset: int) -> bool:
    """Whether the answer goes on at ``offset``; a server may also ignore the range and begin anew."""
    if response.status != 206:
        return False
    return response.headers.get("Content-Range", "").startswith(f"bytes {offset}-")


def _check_length(response: ClientResponse, digest: Digest, expected: int) -> None:
    if response.content_length is not None and response.content_length != expected:
        host = response.url.host
        raise ContentError(f"registry {host}: blob {digest}: announces {response.content_length} bytes, not {expected}")


async def _pour(response: ClientResponse, writer: BlobWriter, watcher: Watcher, host: str) -> None:
    """Write batch by batch in a thread while the next one comes in."""
    pending: asyncio.Task[None] | None = None
    try:
        async for batch in _batches(response):
            if pending is not None:
                await pending
            watcher.at(writer.offset + len(batch), host)
            pending = asyncio.create_task(writer.write(batch), name="blob write")
    finally:
        if pending is not None:
            await pending


async def _batches(response: ClientResponse) -> AsyncIterator[bytes]:
    """The body in pieces worth a thread's attention; what came before a connection broke is among them."""
    batch = bytearray()
    broken: Exception | None = None
    while True:
        try:
            chunk = await response.content.readany()
        except (aiohttp.ClientError, TimeoutError, OSError) as exc:
            chunk, broken = b"", exc
        batch += chunk
        if batch and (not chunk or len(batch) >= _BATCH):
            yield bytes(batch)
            batch.clear()
        if broken is not None:
            raise broken
        if not chunk:
            return
