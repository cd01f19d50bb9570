"""Port-forward in a WebSocket: two channels for each port, one for data and one for an error, and one connection.

The ports are those the URL was made for. Each channel begins with its port, two bytes, the lower one first.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import anyio
from aiohttp import web

from crishim.streaming.messages import MAX_CHANNEL, Subprotocol
from crishim.streaming.portforward.relay import Dial, forward
from crishim.streaming.timeouts import Timeouts
from crishim.streaming.websocket import SocketChannel, channels_of

PROTOCOLS = {
    protocol.name: protocol
    for protocol in (
        Subprotocol("v4.channel.k8s.io"),
        Subprotocol("v4.base64.channel.k8s.io", text=True),
        Subprotocol(""),  # for clients that name none
    )
}

TUNNELS = ("SPDY/3.1+portforward.k8s.io", "v2.portforward.k8s.io")
"""Subprotocols in which the messages carry a SPDY connection; see ``portforward.spdy``. The second is an older name."""

MAX_PORTS = (MAX_CHANNEL + 1) // 2


async def serve(
    socket: web.WebSocketResponse,
    transport: asyncio.Transport,
    ports: Sequence[int],
    subprotocol: Subprotocol,
    dial: Dial,
    timeouts: Timeouts,
) -> None:
    """Serve one connection to each of ``ports``, until all have ended or the client goes."""
    async with channels_of(socket, transport, subprotocol, idle_timeout=timeouts.idle) as opened:
        pairs = [(opened.channel(2 * i, read=True), opened.channel(2 * i + 1)) for i in range(len(ports))]
        async with anyio.create_task_group() as connections:
            for port, (data, error) in zip(ports, pairs, strict=True):
                connections.start_soon(_serve_port, dial, port, data, error)


async def _serve_port(dial: Dial, port: int, data: SocketChannel, error: SocketChannel) -> None:
    await data.write(port.to_bytes(2, "little"))
    await error.write(port.to_bytes(2, "little"))
    await forward(dial, port, data, error)
    data.discard()
