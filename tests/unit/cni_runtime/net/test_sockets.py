"""What a netlink socket makes of answers, with a test for its kernel."""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Iterator

import pytest

from cni_runtime.net import codec
from cni_runtime.net.codec import Request
from cni_runtime.net.sockets import NetlinkError, NetlinkSocket

ENTRY, MULTI = 16, 0x2
LIST, SET = Request(18, b"", codec.DUMP, "list links"), Request(16, b"", what="set link")


class Kernel:
    """The other end: its answers are given before they are asked for."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end

    def acknowledges(self, sequence: int) -> None:
        self._end.send(_message(codec.ERROR, 0, sequence, bytes(20)))

    def lists(self, *names: bytes, sequence: int = 1, flags: int = 0) -> None:
        entries = b"".join(_message(ENTRY, MULTI, sequence, name) for name in names)
        self._end.send(entries + _message(codec.DONE, MULTI | flags, sequence, bytes(4)))

    def asked(self) -> list[list[int]]:
        """The types of the requests in each datagram so far."""
        self._end.setblocking(False)
        found: list[list[int]] = []
        while True:
            try:
                found.append([request.type for request in codec.decode(self._end.recv(1 << 16))])
            except BlockingIOError:
                return found


def _message(kind: int, flags: int, sequence: int, body: bytes) -> bytes:
    return struct.pack("=IHHII", codec.HEADER_SIZE + len(body), kind, flags, sequence, 0) + body


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, kernels = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, kernels:
        yield ours, kernels


@pytest.fixture
def netlink(ends: tuple[socket.socket, socket.socket]) -> NetlinkSocket:
    return NetlinkSocket(kernel=ends[0])


@pytest.fixture
def kernel(ends: tuple[socket.socket, socket.socket]) -> Kernel:
    return Kernel(ends[1])


def test_a_list_that_was_interrupted_is_asked_for_again(netlink: NetlinkSocket, kernel: Kernel) -> None:
    kernel.lists(b"eth0", flags=codec.INTERRUPTED)
    kernel.lists(b"eth0", b"eth1")
    assert [reply.body for reply in netlink.ask(LIST)] == [b"eth0", b"eth1"]


def test_a_list_that_is_always_interrupted_is_an_error(netlink: NetlinkSocket, kernel: Kernel) -> None:
    for _ in range(51):
        kernel.lists(b"eth0", flags=codec.INTERRUPTED)
    with pytest.raises(NetlinkError, match="list links: Interrupted") as caught:
        netlink.ask(LIST)
    assert (caught.value.errno, len(kernel.asked())) == (errno.EINTR, 50)


def test_what_was_asked_along_with_it_is_not_asked_again(netlink: NetlinkSocket, kernel: Kernel) -> None:
    kernel.acknowledges(1)
    kernel.lists(sequence=2, flags=codec.INTERRUPTED)
    kernel.lists(b"eth0")
    assert [[reply.body for reply in replies] for replies in netlink.run([SET, LIST])] == [[], [b"eth0"]]
    assert kernel.asked() == [[SET.type, LIST.type], [LIST.type]]
