"""conmon's attach socket: the container's output as it comes, and its input.

Packets from conmon begin with a byte that tells the stream. Packets to it are input. Nothing of before the
connection is heard. As long as a client does not read, conmon waits, and with it the container's output.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from enum import IntEnum

from crishim.core.errors import FailedPreconditionError
from crishim.drivers.conmon.argv import MonitorFiles

_SEND = 8192  # bytes of input in one packet; conmon's buffer has four times that
_RECEIVE = 1 << 16


class Stream(IntEnum):
    """Which output a packet is of. A terminal has only the first."""

    STDOUT = 2
    STDERR = 3


class Attachment:
    """A connection to a container's streams; iterate for its output until the container has ended."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._loop = asyncio.get_running_loop()

    async def send(self, data: bytes) -> None:
        """Write to the container's input. Raises FailedPreconditionError when nobody is there any more."""
        for start in range(0, len(data), _SEND):
            try:
                await self._loop.sock_sendall(self._connection, data[start : start + _SEND])
            except (BrokenPipeError, ConnectionResetError):
                raise FailedPreconditionError("the container takes no input any more") from None

    def end_input(self) -> None:
        """Say that there will be no more input; the output goes on.

        The container's own input ends with it, unless the monitor was told to leave it open.
        """
        self._shut(socket.SHUT_WR)

    def hang_up(self) -> None:
        """End the input of this client and its output too; who iterates gets to the end."""
        self._shut(socket.SHUT_RDWR)

    def _shut(self, how: int) -> None:
        try:
            self._connection.shutdown(how)
        except OSError:
            return  # the container has ended

    async def __aiter__(self) -> AsyncIterator[tuple[Stream, bytes]]:
        """The output, packet by packet, until the container ends."""
        while packet := await self._receive():
            yield Stream(packet[0]), packet[1:]

    def close(self) -> None:
        """Leave; the container goes on."""
        self._connection.close()

    async def _receive(self) -> bytes:
        try:
            return await self._loop.sock_recv(self._connection, _RECEIVE)
        except ConnectionResetError:
            return b""


async def attach(files: MonitorFiles) -> Attachment:
    """Connect to the streams of a container. Raises FailedPreconditionError when it has ended."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK)
    try:
        # The path of a socket may have 107 bytes; that of a bundle has more.
        bundle = os.open(files.bundle, os.O_PATH | os.O_CLOEXEC)
        try:
            address = f"/proc/self/fd/{bundle}/{files.attach.name}"
            await asyncio.get_running_loop().sock_connect(connection, address)
        finally:
            os.close(bundle)
    except (FileNotFoundError, ConnectionRefusedError):
        connection.close()
        raise FailedPreconditionError(f"container {files.container_id} has ended") from None
    except BaseException:
        connection.close()
        raise
    return Attachment(connection)
