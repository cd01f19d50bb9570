"""What the kernel knows of connections, on real ones."""

import asyncio
import socket
from collections.abc import AsyncIterator

import anyio
import pytest

from crishim.streaming.transport import delivered, hung_up, unsent

pytestmark = pytest.mark.anyio

MUCH = 16 * 1024 * 1024


class Case:
    """A transport, whose peer is a plain socket that reads only when told to."""

    def __init__(self, transport: asyncio.Transport, peer: socket.socket) -> None:
        self.transport, self.peer = transport, peer

    async def drain(self, count: int) -> None:
        """Let the peer read ``count`` bytes."""
        loop = asyncio.get_running_loop()
        while count > 0:
            count -= len(await loop.sock_recv(self.peer, 1 << 20))


@pytest.fixture
async def case() -> AsyncIterator[Case]:
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket() as peer:
        peer.connect(listener.getsockname())
        peer.setblocking(False)
        accepted, _ = listener.accept()
        transport, _ = await asyncio.get_running_loop().create_connection(asyncio.Protocol, sock=accepted)
        yield Case(transport, peer)
        transport.abort()
        await anyio.sleep(0.01)  # for asyncio to close it


async def test_a_peer_that_is_there(case: Case) -> None:
    case.transport.pause_reading()
    assert not hung_up(case.transport)


async def test_a_peer_that_has_gone_while_nothing_is_read(case: Case) -> None:
    case.transport.pause_reading()
    case.peer.close()
    assert hung_up(case.transport)


async def test_a_transport_that_is_closed(case: Case) -> None:
    case.transport.abort()
    await anyio.sleep(0.01)
    assert hung_up(case.transport)
    assert unsent(case.transport) == 0


async def test_what_the_peer_does_not_take_is_not_delivered(case: Case) -> None:
    case.transport.write(bytes(MUCH))
    assert unsent(case.transport) > MUCH // 2
    with anyio.move_on_after(0.2) as waiting:
        await delivered(case.transport)
    assert waiting.cancelled_caught


async def test_delivery_ends_when_the_peer_has_taken_everything(case: Case) -> None:
    case.transport.write(bytes(MUCH))
    async with anyio.create_task_group() as group:
        group.start_soon(case.drain, MUCH)
        with anyio.fail_after(10):
            await delivered(case.transport)
    assert unsent(case.transport) == 0


async def test_delivery_ends_when_the_peer_is_gone(case: Case) -> None:
    case.transport.write(bytes(MUCH))
    case.peer.close()
    with anyio.fail_after(5):
        await delivered(case.transport)
