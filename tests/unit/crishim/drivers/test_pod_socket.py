"""Connections to localhost in the namespace of this process."""

import asyncio
import gc
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from crishim.core.errors import SystemCallError, UnavailableError
from crishim.drivers.pod_socket import PodDialer

pytestmark = pytest.mark.anyio


@contextmanager
def listening(*addresses: str) -> Iterator[tuple[int, dict[str, socket.socket]]]:
    """A port and what listens on it, by address."""
    port = 0
    listeners: dict[str, socket.socket] = {}
    try:
        for address in addresses:
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            listeners[address] = socket.create_server((address, port), family=family)
            port = listeners[address].getsockname()[1]
        yield port, listeners
    finally:
        for listener in listeners.values():
            listener.close()


@pytest.mark.parametrize(
    ("addresses", "reached"),
    [(["127.0.0.1"], "127.0.0.1"), (["::1"], "::1"), (["127.0.0.1", "::1"], "127.0.0.1")],
)
async def test_localhost_ipv4_first(addresses: list[str], reached: str) -> None:
    with listening(*addresses) as (port, listeners):
        connection = await PodDialer().connect(None, port)
        listeners[reached].setblocking(False)
        listeners[reached].accept()[0].close()
        assert await connection.read() == b""
        connection.close()


async def test_data_both_ways() -> None:
    async def shout(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write((await reader.read()).upper())
        writer.close()

    server = await asyncio.start_server(shout, "127.0.0.1", 0)
    async with server:
        connection = await PodDialer().connect(None, server.sockets[0].getsockname()[1])
        await connection.write(b"hello")
        connection.end()
        assert [await connection.read(), await connection.read()] == [b"HELLO", b""]
        connection.close()


async def test_nobody_listens() -> None:
    with listening("127.0.0.1") as (port, _):
        pass
    expected = rf"port {port} in the node: 127\.0\.0\.1: Connection refused; ::1: Connection refused"
    with pytest.raises(UnavailableError, match=expected):
        await PodDialer().connect(None, port)
    gc.collect()  # a socket that was left open would warn now


@pytest.mark.parametrize(("path", "message"), [("/nowhere", "ENOENT"), ("/dev/null", "EINVAL")])
async def test_what_is_no_namespace(path: str, message: str) -> None:
    with pytest.raises(SystemCallError, match=message):
        await PodDialer().connect(path, 80)
