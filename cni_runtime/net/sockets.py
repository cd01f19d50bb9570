"""Netlink sockets, and threads that enter a network namespace to open them.

A namespace is entered only by a thread made for it, which then ends: no fork, and no worker thread that could be
left in the wrong namespace. The one place of this package that calls the C library. Everything here blocks for at
most milliseconds and belongs in a worker thread.
"""

from __future__ import annotations

import ctypes
import errno
import os
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TypeVar

from cni_runtime.net import codec
from cni_runtime.net.codec import Reply, Request

T = TypeVar("T")

_CLONE_NEWNET: Final = 0x40000000
_SOL_NETLINK: Final = 270
_CAP_ACK, _EXT_ACK, _STRICT_CHECK = 10, 11, 12
_RECEIVE: Final = 1 << 18
# Replies wait in the socket's buffer until the whole batch is sent.
_BATCH: Final = 32

_libc = ctypes.CDLL(None, use_errno=True)


class NetlinkError(OSError):
    """The kernel refused a request; ``errno`` is its code, the text says what for and the kernel's own words."""


class NetlinkSocket:
    """One netlink socket. Not to be used by two threads at once."""

    def __init__(self, protocol: int = socket.NETLINK_ROUTE) -> None:
        """Open it in the calling thread's network namespace."""
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol)
        try:
            for option in (_CAP_ACK, _EXT_ACK):
                self._socket.setsockopt(_SOL_NETLINK, option, 1)
            if protocol == socket.NETLINK_ROUTE:
                self._socket.setsockopt(_SOL_NETLINK, _STRICT_CHECK, 1)
            self._socket.bind((0, 0))
        except BaseException:
            self._socket.close()
            raise

    def close(self) -> None:
        """Close it; a second time does nothing."""
        self._socket.close()

    def __enter__(self) -> NetlinkSocket:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def run(self, requests: Sequence[Request]) -> list[list[Reply]]:
        """Send ``requests`` in as few datagrams as possible; the answers to each, in order.

        The kernel goes on after a request that failed. Raises NetlinkError for the first that did, when all
        have been answered.
        """
        answers: list[list[Reply]] = []
        for start in range(0, len(requests), _BATCH):
            answers += self._batch(requests[start : start + _BATCH])
        return answers

    def ask(self, request: Request) -> list[Reply]:
        """The answers to one request."""
        return self._batch((request,))[0]

    def _batch(self, requests: Sequence[Request]) -> list[list[Reply]]:
        self._socket.send(b"".join(codec.encode(request, at) for at, request in enumerate(requests, 1)))
        answers: list[list[Reply]] = [[] for _ in requests]
        failed: dict[int, NetlinkError] = {}
        waiting = set(range(1, len(requests) + 1))
        while waiting:
            for reply in codec.decode(self._socket.recv(_RECEIVE)):
                if reply.sequence not in waiting:
                    continue
                if reply.type not in (codec.ERROR, codec.DONE):
                    answers[reply.sequence - 1].append(reply)
                    continue
                waiting.discard(reply.sequence)
                code, words = codec.error_of(reply)
                if code:
                    failed[reply.sequence] = request_error(requests[reply.sequence - 1], code, words)
        if failed:
            raise failed[min(failed)]
        return answers


def request_error(request: Request, code: int, words: str) -> NetlinkError:
    """What the kernel said about ``request``."""
    what = request.what or f"netlink request {request.type}"
    return NetlinkError(code, f"{what}: {os.strerror(code)}" + (f" ({words})" if words else ""))


@contextmanager
def opened(path: str | Path) -> Iterator[int]:
    """A file descriptor of the namespace at ``path``. Raises FileNotFoundError when it is gone."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield fd
    finally:
        os.close(fd)


def in_namespace(netns_fd: int | None, function: Callable[[], T]) -> T:
    """``function()`` called by a thread that has entered the namespace; None: the caller's own, no thread.

    Raises what ``function`` raises, and OSError when ``netns_fd`` is not a network namespace.
    """
    if netns_fd is None:
        return function()
    results: list[T] = []
    failures: list[BaseException] = []

    def enter_and_call() -> None:
        try:
            _enter(netns_fd)
            results.append(function())
        except BaseException as exc:  # handed over to the thread that waits below
            failures.append(exc)

    thread = threading.Thread(target=enter_and_call, name="netns", daemon=True)
    thread.start()
    thread.join()
    if failures:
        raise failures[0]
    return results[0]


def _enter(netns_fd: int) -> None:
    if _libc.setns(netns_fd, _CLONE_NEWNET) != 0:
        code = ctypes.get_errno()
        hint = " (not a network namespace?)" if code == errno.EINVAL else ""
        raise OSError(code, f"enter network namespace: {os.strerror(code)}{hint}")
