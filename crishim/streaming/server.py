"""The HTTP server that streams are served on, from its socket to its end."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from ipaddress import ip_address

import anyio
import structlog
from aiohttp import web

from crishim.core.config.types import StreamServer
from crishim.core.errors import UnavailableError
from crishim.core.tasks import TaskOwner
from crishim.streaming.certificate import server_context
from crishim.streaming.handlers import Backends, Handlers
from crishim.streaming.service import Streams
from crishim.streaming.timeouts import Timeouts
from crishim.streaming.tokens import TokenStore

_BACKLOG = 512
_REQUEST_SECONDS = 30.0  # for a client to send its request
_STOP_SECONDS = 5.0  # for streams to end what they have begun

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
    tokens, owner = TokenStore(), TaskOwner()
    handlers = Handlers(tokens, backends, Timeouts(config.idle_timeout, creation_timeout), owner)
    application = web.Application()
    application.add_routes(handlers.routes())
    async with AsyncExitStack() as undo:
        listener = await anyio.to_thread.run_sync(_listen, config.address, config.port)
        undo.callback(listener.close)
        runner = web.AppRunner(
            application, access_log=None, keepalive_timeout=_REQUEST_SECONDS, shutdown_timeout=_STOP_SECONDS
        )
        undo.push_async_callback(_stop, runner, owner)
        await runner.setup()
        await web.SockSite(runner, listener, ssl_context=tls, backlog=_BACKLOG).start()
        url = base_url(config, listener.getsockname())
        _log.info("serving streams", url=url)
        yield Streams(url, tokens, backends.containers, backends.sandboxes)


def base_url(config: StreamServer, bound: tuple[str, int]) -> str:
    """Where clients on this node reach a server that is bound to the address and port ``bound``."""
    host, address = config.address or bound[0], ip_address(bound[0])
    if address.is_unspecified:
        host = "::1" if address.version == 6 else "127.0.0.1"
    return f"{'https' if config.tls else 'http'}://{f'[{host}]' if ':' in host else host}:{bound[1]}"


def _listen(address: str, port: int) -> socket.socket:
    """A socket that is bound to the first address that ``address`` stands for; empty: to localhost."""
    try:
        family, kind, number, _, bound = socket.getaddrinfo(address or "127.0.0.1", port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, number)
    except OSError as error:
        raise UnavailableError(f"streaming server: {address}: {error}") from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)  # connections inherit it
        for option, value in _KEEPALIVE.items():
            listener.setsockopt(socket.IPPROTO_TCP, option, value)
        listener.bind(bound)
    except OSError as error:
        listener.close()
        raise UnavailableError(f"streaming server: cannot listen on {address} port {port}: {error.strerror}") from error
    return listener


async def _stop(runner: web.AppRunner, owner: TaskOwner) -> None:
    """Take no more requests and end all streams, even when the surroundings are being cancelled."""
    with anyio.CancelScope(shield=True):
        for site in list(runner.sites):
            await site.stop()
        await owner.aclose(_STOP_SECONDS)
        await runner.cleanup()
    _log.info("stopped serving streams")
