"""Connections to localhost inside a network namespace, without a process in it.

A socket belongs to the namespace of the thread that made it, for as long as it exists; what is done with it later may
be done from anywhere.
"""

from __future__ import annotations

import asyncio
import os
import socket

import anyio

from crishim.core.errors import UnavailableError
from crishim.drivers import syscalls, threads

_ADDRESSES = {socket.AF_INET: "127.0.0.1", socket.AF_INET6: "::1"}
_SECONDS = 10.0  # for each address: localhost answers at once, unless its queue is full
_CHUNK = 128 * 1024


class PodConnection:
    """A connected socket, read by one task and written by one task. What the kernel reports is raised as OSError.

    Without asyncio's streams, which copy everything into buffers of their own: that would be most of the work.
    """

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected
        self._loop = asyncio.get_running_loop()

    async def read(self) -> bytes:
        """Some bytes, or none at the end."""
        await asyncio.sleep(0)  # a side that always has something to say must not keep others from theirs
        return await self._loop.sock_recv(self._socket, _CHUNK)

    async def write(self, data: bytes) -> None:
        """Send all of ``data``, waiting while nobody reads."""
        await self._loop.sock_sendall(self._socket, data)

    def end(self) -> None:
        """Send no more; the other direction goes on."""
        self._socket.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """End both directions."""
        self._socket.close()


class PodDialer:
    """Connects to ports of pods."""

    async def connect(self, netns: str | None, port: int) -> PodConnection:
        """A connection to ``port`` on localhost, IPv4 first, inside the namespace pinned at ``netns``.

        None: the namespace of this process. Raises UnavailableError when neither address accepts, and
        SystemCallError when the namespace cannot be entered.
        """
        sockets: list[socket.socket] = []
        try:
            if netns is None:
                _make_sockets(None, sockets)
            else:
                await threads.run_alone(_make_sockets, netns, sockets)
            connected = await _first_that_connects(sockets, port, netns or "the node")
            sockets.remove(connected)
            return PodConnection(connected)
        finally:
            for unused in sockets:
                unused.close()


def _make_sockets(netns: str | None, made: list[socket.socket]) -> None:
    """Add a socket for each family that there is to ``made``, whose owner closes them also when cancelled meanwhile."""
    if netns is not None:
        syscalls.enter(netns, syscalls.CLONE_NEWNET)
    for family in _ADDRESSES:
        try:
            made.append(socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK))
        except OSError:  # a kernel without IPv6
            continue


async def _first_that_connects(sockets: list[socket.socket], port: int, where: str) -> socket.socket:
    loop = asyncio.get_running_loop()
    refusals = []
    for candidate in sockets:
        address = _ADDRESSES[socket.AddressFamily(candidate.family)]
        try:
            with anyio.fail_after(_SECONDS):
                await loop.sock_connect(candidate, (address, port))
        except OSError as error:  # TimeoutError too
            refusals.append(f"{address}: {os.strerror(error.errno) if error.errno else 'no answer'}")
        else:
            return candidate
    raise UnavailableError(f"cannot connect to port {port} in {where}: {'; '.join(refusals)}")
