"""Serving HTTP on a socket: the one place where aiohttp's server is put together. Imported with the first client."""

from __future__ import annotations

import socket
import ssl

from aiohttp import web

from crishim.core.tasks import TaskOwner
from crishim.streaming.handlers import Handlers
from crishim.streaming.ports import Backends
from crishim.streaming.timeouts import BACKLOG, STOP_SECONDS, Timeouts
from crishim.streaming.tokens import TokenStore

_REQUEST_SECONDS = 30.0  # for a client to send its request


async def start(
    listener: socket.socket,
    tls: ssl.SSLContext | None,
    tokens: TokenStore,
    backends: Backends,
    timeouts: Timeouts,
    owner: TaskOwner,
) -> web.AppRunner:
    """Serve on ``listener``, until the runner that this returns is cleaned up."""
    application = web.Application()
    application.add_routes(Handlers(tokens, backends, timeouts, owner).routes())
    runner = web.AppRunner(
        application, access_log=None, keepalive_timeout=_REQUEST_SECONDS, shutdown_timeout=STOP_SECONDS
    )
    await runner.setup()
    await web.SockSite(runner, listener, ssl_context=tls, backlog=BACKLOG).start()
    return runner
