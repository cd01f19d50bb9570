"""What the kernel knows of a connection that asyncio does not tell."""

from __future__ import annotations

import asyncio
import fcntl
import select
import struct
import termios
from itertools import chain, repeat

import anyio

_POLL_SECONDS = (0.005, 0.02, 0.1, 0.5, 1.0)
_GONE = select.POLLRDHUP | select.POLLHUP | select.POLLERR | select.POLLNVAL


def hung_up(transport: asyncio.WriteTransport) -> bool:
    """Whether the peer has gone, even if reading is paused, which hides it from asyncio."""
    descriptor = _descriptor(transport)
    if descriptor is None:
        return True
    poll = select.poll()
    poll.register(descriptor, _GONE)
    return bool(poll.poll(0))


def unsent(transport: asyncio.WriteTransport) -> int:
    """Bytes that have not reached the peer's kernel; 0 also when they never will."""
    descriptor = _descriptor(transport)
    if descriptor is None:
        return 0
    (queued,) = struct.unpack("i", fcntl.ioctl(descriptor, termios.TIOCOUTQ, b"\0" * 4))
    return int(queued) + transport.get_write_buffer_size()


async def delivered(transport: asyncio.WriteTransport) -> None:
    """Wait until the peer's kernel has everything, or the peer is gone.

    A socket that is closed earlier, and is then sent something by the peer, answers with a reset and throws away what
    the peer has not fetched: the end of an output.
    """
    for seconds in chain(_POLL_SECONDS, repeat(_POLL_SECONDS[-1])):
        if not unsent(transport) or hung_up(transport):
            return
        await anyio.sleep(seconds)


def _descriptor(transport: asyncio.WriteTransport) -> int | None:
    # A transport that is closing has still a socket while there is something to send.
    descriptor = transport.get_extra_info("socket").fileno()
    return None if descriptor < 0 else int(descriptor)
