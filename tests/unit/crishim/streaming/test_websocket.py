"""Channels of a socket that fails."""

import asyncio
from typing import cast

import anyio
import pytest
from aiohttp import WSCloseCode, web

from crishim.streaming.messages import Subprotocol
from crishim.streaming.websocket import channels_of

pytestmark = pytest.mark.anyio


class BrokenSocket:
    """Nothing comes, and nothing can be sent."""

    closed_with: int | None = None

    async def receive(self) -> None:
        await anyio.sleep_forever()

    async def send_frame(self, *_: object) -> None:
        raise ConnectionResetError

    async def pong(self) -> None:
        raise ConnectionResetError

    async def close(self, *, code: int) -> None:
        self.closed_with = code


async def test_a_client_that_is_gone_is_no_error_of_the_server() -> None:
    socket, reached = BrokenSocket(), False
    transport = cast("asyncio.Transport", None)
    async with channels_of(
        cast("web.WebSocketResponse", socket), transport, Subprotocol("v4"), idle_timeout=0
    ) as opened:
        await opened.channel(1).write(b"hello")
        reached = True
    assert (reached, socket.closed_with) == (False, WSCloseCode.GOING_AWAY)
