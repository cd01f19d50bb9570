"""One forwarded connection: a client's channel on one side, a connection to a port of the pod on the other.

Either side may end its direction and go on reading, as with a connection that is not forwarded. When the pod has ended
its own, nothing is told on the error channel any more, and that ends too: kubectl before 1.32 waits for it before it
ends its direction.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress

import anyio
import structlog

from crishim.core.errors import CrishimError
from crishim.streaming.channel import Channel, Sink
from crishim.streaming.errors import PeerGoneError, StreamResetError
from crishim.streaming.ports import PodConnection

Dial = Callable[[int], Awaitable[PodConnection]]
"""Connects to a port of the pod; raises a CrishimError that can be shown to the client."""

_log = structlog.get_logger(__name__)


async def forward(dial: Dial, port: int, data: Channel, error: Sink) -> bool:
    """Serve one connection to its end; False when it failed. A port that cannot be reached is told on ``error``."""
    try:
        connection = await dial(port)
    except CrishimError as failure:
        await _tell(error, f"error forwarding port {port}: {failure}")
        return False
    except Exception as bug:  # one connection that cannot be had ends no other
        _log.error("port forward failed", port=port, exc_info=bug)
        await _tell(error, f"error forwarding port {port}: for a reason that only the server's log tells")
        return False
    try:
        return await _copy(data, error, connection)
    finally:
        connection.close()


async def _tell(error: Sink, message: str) -> None:
    _log.info("port forward failed", error=message)
    with suppress(PeerGoneError, StreamResetError):
        await error.write(message.encode())


async def _copy(data: Channel, error: Sink, connection: PodConnection) -> bool:
    """Copy both ways; False when one of the sides broke its connection off."""
    whole = True

    async def from_pod(scope: anyio.CancelScope) -> None:
        nonlocal whole
        try:
            while chunk := await connection.read():
                await data.write(chunk)
            await data.close()
            await error.close()
        except (OSError, StreamResetError, PeerGoneError):
            whole = False
            scope.cancel()

    async with anyio.create_task_group() as group:
        group.start_soon(from_pod, group.cancel_scope)
        try:
            await _copy_to_pod(data, connection)
        except (StreamResetError, PeerGoneError):
            whole = False
            group.cancel_scope.cancel()
    return whole


async def _copy_to_pod(data: Channel, connection: PodConnection) -> None:
    try:
        while chunk := await data.read():
            await connection.write(chunk)
        connection.end()
    except OSError:  # nobody reads in the pod; what it wrote may still be on its way
        data.discard()
