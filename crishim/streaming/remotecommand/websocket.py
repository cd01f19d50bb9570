"""Exec and attach in a WebSocket: the channels are numbered, and all there from the start."""

from __future__ import annotations

import asyncio

from aiohttp import web

from crishim.model.stream import AttachStream, ExecStream, Output
from crishim.streaming.messages import Subprotocol
from crishim.streaming.remotecommand.run import Channels, Job, run
from crishim.streaming.timeouts import Timeouts
from crishim.streaming.websocket import SocketMux, channels_of

PROTOCOLS = {
    protocol.name: protocol
    for protocol in (
        Subprotocol("v5.channel.k8s.io", closes=True),
        Subprotocol("v4.channel.k8s.io"),
        Subprotocol("v4.base64.channel.k8s.io", text=True),
        Subprotocol("channel.k8s.io", structured=False),
        Subprotocol("base64.channel.k8s.io", structured=False, text=True),
        Subprotocol("", structured=False),  # for clients that name none
    )
}

_STDIN, _ERROR, _RESIZE = 0, 3, 4
_OUTPUTS = {Output.STDOUT: 1, Output.STDERR: 2}


async def serve(
    socket: web.WebSocketResponse,
    transport: asyncio.Transport,
    job: Job,
    subprotocol: Subprotocol,
    timeouts: Timeouts,
) -> None:
    """Serve one exec or attach on an accepted WebSocket."""
    async with channels_of(socket, transport, subprotocol, idle_timeout=timeouts.idle) as opened:
        channels = _channels(opened, job.request, structured=subprotocol.structured)
        # Clients may wait for a first message, empty and on the lowest channel, before they send anything.
        first = next(iter(channels.outputs.values()), channels.error)
        await first.write(b"")
        await run(job, channels)


def _channels(opened: SocketMux, request: ExecStream | AttachStream, *, structured: bool) -> Channels:
    wanted = {Output.STDOUT: request.stdout, Output.STDERR: request.stderr}
    return Channels(
        error=opened.channel(_ERROR),
        stdin=opened.channel(_STDIN, read=True) if request.stdin else None,
        outputs={output: opened.channel(number) for output, number in _OUTPUTS.items() if wanted[output]},
        resize=opened.channel(_RESIZE, read=True),
        structured=structured,
    )
