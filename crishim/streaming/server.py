"""The server that streams are served on, from its socket to its end.

HTTP takes memory, and on most nodes nobody ever asks for a stream: it is loaded with the first client.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from importlib import import_module
from ipaddress import ip_address
from typing import TYPE_CHECKING

import anyio
import structlog

from crishim.core.config.types import StreamServer
from crishim.core.errors import UnavailableError
from crishim.core.tasks import TaskOwner
from crishim.core.trying import until_done
from crishim.streaming.certificate import server_context
from crishim.streaming.ports import Backends
from crishim.streaming.service import Streams
from crishim.streaming.timeouts import BACKLOG, STOP_SECONDS, Timeouts
from crishim.streaming.tokens import TokenStore

if TYPE_CHECKING:
    from aiohttp import web

_AGAIN_SECONDS = 1.0

# A client that vanished without a word is noticed within two minutes.
_KEEPALIVE = {socket.TCP_KEEPIDLE: 60, socket.TCP_KEEPINTVL: 15, socket.TCP_KEEPCNT: 4}

_log = structlog.get_logger(__name__)


@asynccontextmanager
async def serving_streams(
    config: StreamServer, backends: Backends, *, creation_timeout: float = 30.0
) -> AsyncIterator[Streams]:
    """Serve streams while the body runs, then end those that are left. Yields what makes their URLs.

    ``creation_timeout``: seconds for a SPDY client to open its streams. Raises UnavailableError when the address
    cannot be served, and ConfigError for a certificate that cannot be used.
    """
    tls = None
    if config.tls:
        tls = await server_context(config.address, config.tls_cert_file, config.tls_key_file)
    tokens, timeouts = TokenStore(), Timeouts(config.idle_timeout, creation_timeout)
    async with AsyncExitStack() as undo:
        listener = await anyio.to_thread.run_sync(_listen, config.address, config.port)
        undo.callback(listener.close)
        server = _Server(listener, tls, tokens, backends, timeouts)
        undo.push_async_callback(server.stop)
        server.begin()
        url = base_url(config, listener.getsockname())
        _log.info("serving streams", url=url)
        yield Streams(url, tokens, backends.containers, backends.sandboxes)


class _Server:
    """Serves HTTP on ``listener`` from the first client on."""

    def __init__(
        self,
        listener: socket.socket,
        tls: ssl.SSLContext | None,
        tokens: TokenStore,
        backends: Backends,
        timeouts: Timeouts,
    ) -> None:
        self._listener, self._tls, self._tokens = listener, tls, tokens
        self._backends, self._timeouts, self._owner = backends, timeouts, TaskOwner()
        self._loop = asyncio.get_running_loop()
        self._runner: web.AppRunner | None = None

    def begin(self) -> None:
        """Wait for the first client."""
        self._loop.add_reader(self._listener, self._first_client)

    async def stop(self) -> None:
        """Take no more requests and end all streams, even when the surroundings are being cancelled."""
        with anyio.CancelScope(shield=True):
            self._loop.remove_reader(self._listener)
            for site in list(self._runner.sites) if self._runner else ():
                await site.stop()
            await self._owner.aclose(STOP_SECONDS)
            if self._runner:
                await self._runner.cleanup()
        _log.info("stopped serving streams")

    def _first_client(self) -> None:
        self._loop.remove_reader(self._listener)
        # There may be no descriptor or thread left, and nobody else would try again.
        serving = until_done(self._serve, _AGAIN_SECONDS, "streams cannot be served for now")
        self._owner.spawn("streams.serve", serving)

    async def _serve(self) -> None:
        parts = (self._listener, self._tls, self._tokens, self._backends, self._timeouts, self._owner)
        http = await anyio.to_thread.run_sync(import_module, "crishim.streaming.http")
        self._runner = await http.start(*parts)


def base_url(config: StreamServer, bound: tuple[str, int]) -> str:
    """Where clients on this node reach a server that is bound to the address and port ``bound``."""
    host, address = config.address or bound[0], ip_address(bound[0])
    if address.is_unspecified:
        host = "::1" if address.version == 6 else "127.0.0.1"
    return f"{'https' if config.tls else 'http'}://{f'[{host}]' if ':' in host else host}:{bound[1]}"


def _listen(address: str, port: int) -> socket.socket:
    """A socket that is bound to the first address that ``address`` stands for; empty: to localhost."""
    host = address or "127.0.0.1"
    encoded = host.encode()  # for text, Python would load half a MiB of tables for IDNA
    try:
        family, kind, number, _, bound = socket.getaddrinfo(encoded, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, number)
    except OSError as error:
        raise UnavailableError(f"streaming server: {host}: {error}") from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)  # connections inherit it
        for option, value in _KEEPALIVE.items():
            listener.setsockopt(socket.IPPROTO_TCP, option, value)
        listener.bind(bound)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise UnavailableError(f"streaming server: cannot listen on {host} port {port}: {error.strerror}") from error
    return listener
