"""The netlink protocol of netfilter: sockets, messages, transactions. Numbers in attributes are big-endian.

What nftables' own language cannot say, or says slowly, goes this way: reading the rules of one chain among thousands
that iptables made, writing rules that iptables can read, and connection tracking.
Source: include/uapi/linux/netfilter/{nfnetlink,nf_tables}.h.
"""

from __future__ import annotations

import struct
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import IntEnum

from cni_runtime import faults
from cni_runtime.net import codec
from cni_runtime.net.codec import Request
from cni_runtime.net.sockets import NetlinkError, NetlinkSocket, request_error

NETLINK_NETFILTER = 12
"""The family of netlink sockets. Source: include/uapi/linux/netlink.h."""

_GENERIC = struct.Struct(">BBH")
_BATCH_BEGIN, _BATCH_END = 0x10, 0x11


class Subsystem(IntEnum):
    """Parts of netfilter that take messages."""

    CONNTRACK = 1
    NFTABLES = 10


class NetfilterSocket(NetlinkSocket):
    """A socket for netfilter, in the namespace of the thread that opens it. Not to be used by two threads at once."""

    def __init__(self) -> None:
        super().__init__(NETLINK_NETFILTER)

    def transact(self, requests: Sequence[Request]) -> None:
        """Do all of ``requests`` to nf_tables or nothing. Raises NetlinkError for the first that was refused."""
        faults.reach("netfilter.transact")
        begin, end = len(requests) + 1, len(requests) + 2
        messages = (codec.encode(request, at) for at, request in enumerate(requests, 1))
        self._socket.send(b"".join((_bracket(_BATCH_BEGIN, begin), *messages, _bracket(_BATCH_END, end))))
        failed: dict[int, NetlinkError] = {}
        waiting = set(range(1, len(requests) + 1))
        while waiting:
            for reply in codec.decode(self._receive()):
                code, words = codec.error_of(reply) if reply.type == codec.ERROR else (0, "")
                waiting.discard(reply.sequence)
                if code and reply.sequence <= len(requests):
                    failed[reply.sequence] = request_error(requests[reply.sequence - 1], code, words)
                elif code:  # the transaction as a whole
                    raise request_error(requests[0], code, words)
        if failed:
            raise failed[min(failed)]


class Netfilter:
    """A socket for netfilter that threads share, opened when it is first needed.

    It is kept because closing one waits until the kernel has cleaned up after all transactions on nf_tables, which
    takes 10 ms and more.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._socket: NetfilterSocket | None = None

    @contextmanager
    def open(self) -> Iterator[NetfilterSocket]:
        """The socket, for one thread at a time; in the namespace of the thread that came first."""
        with self._lock:
            if self._socket is None:
                self._socket = NetfilterSocket()
            try:
                yield self._socket
            except BaseException as exc:
                # A request that the kernel refused is answered; after anything else there may be answers left to read.
                if not isinstance(exc, NetlinkError):
                    self._close()
                raise

    def close(self) -> None:
        """Close it; it is opened again when needed."""
        with self._lock:
            self._close()

    def __del__(self) -> None:
        self.close()

    def _close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def message(subsystem: Subsystem, number: int, family: int, body: bytes, *, flags: int = 0, what: str = "") -> Request:
    """A request; ``family`` is a protocol family."""
    return Request(subsystem << 8 | number, _GENERIC.pack(family, 0, 0) + body, flags, what)


def found_in(body: bytes) -> dict[int, bytes]:
    """The attributes of a reply by kind."""
    return codec.attributes(body, _GENERIC.size)


def number(found: Mapping[int, bytes], kind: int) -> int:
    """An unsigned big-endian attribute of any size; 0 when it is not there."""
    return int.from_bytes(found.get(kind, b""), "big")


def be64(kind: int, value: int) -> bytes:
    """A big-endian 64-bit attribute."""
    return codec.attribute(kind, struct.pack(">Q", value))


def _bracket(kind: int, sequence: int) -> bytes:
    """Begin or end of a transaction. Not to be acknowledged: old kernels never do, new ones when asked."""
    body = _GENERIC.pack(0, 0, Subsystem.NFTABLES)
    return struct.pack("=IHHII", codec.HEADER_SIZE + len(body), kind, codec.REQUEST, sequence, 0) + body
