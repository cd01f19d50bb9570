"""Netlink sockets, and threads that enter a network namespace to open them.

A namespace is entered only by a thread that ends when it could not come back: no fork, and no worker thread that is
left in the wrong namespace. Everything here blocks for at most milliseconds and belongs in a thread, best of all in
one of ours (``run_in_own_thread``).
"""

from __future__ import annotations

import contextvars
import ctypes
import errno
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from mmap import mmap
from pathlib import Path
from typing import Final, Self, TypeVar

import anyio
import anyio.lowlevel

from cni_runtime import faults
from cni_runtime.net import codec, threads
from cni_runtime.net.codec import Reply, Request

T = TypeVar("T")

_CLONE_NEWNET: Final = 0x40000000
_SOL_NETLINK: Final = 270
_CAP_ACK, _EXT_ACK, _STRICT_CHECK = 10, 11, 12
_RECEIVE: Final = 1 << 18
# Replies wait in the socket's buffer until the whole batch is sent.
_BATCH: Final = 32
# Any change interrupts a list, and there are many while pods come and go; one takes hundredths of a millisecond.
_TRIES: Final = 50
_CALM_SECONDS: Final = 0.001

_libc = ctypes.CDLL(None, use_errno=True)
# ``comes_back``: whether a thread is one of run_in_own_thread. ``buffer``: for what is received.
_local = threading.local()


class NetlinkError(OSError):
    """The kernel refused a request; ``errno`` is its code, the text says what for and the kernel's own words."""


class NetlinkSocket:
    """One netlink socket. Not to be used by two threads at once."""

    def __init__(self, protocol: int = socket.NETLINK_ROUTE, kernel: socket.socket | None = None) -> None:
        """Open it in the calling thread's network namespace; or take one that leads to a ``kernel`` of a test."""
        self._protocol = protocol
        self._socket = kernel or _open(protocol)

    def close(self) -> None:
        """Close it; a second time does nothing."""
        self._socket.close()

    def fileno(self) -> int:
        """Its file descriptor."""
        return self._socket.fileno()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def run(self, requests: Sequence[Request]) -> list[list[Reply]]:
        """Send ``requests`` in as few datagrams as possible; the answers to each, in order.

        The kernel goes on after a request that failed. Raises NetlinkError for the first that did, when all
        have been answered. A list that may lack entries, since others have changed something meanwhile, is asked
        for again, and a NetlinkError (EINTR) when it is so each time.
        """
        answers: list[list[Reply]] = []
        for start in range(0, len(requests), _BATCH):
            answers += self._batch(requests[start : start + _BATCH])
        return answers

    def ask(self, request: Request) -> list[Reply]:
        """The answers to one request."""
        return self._batch((request,))[0]

    def _batch(self, requests: Sequence[Request], tries: int = _TRIES) -> list[list[Reply]]:
        if self._protocol == socket.NETLINK_ROUTE and any(map(_changes, requests)):
            faults.reach("netlink.send")
        self._socket.send(b"".join(codec.encode(request, at) for at, request in enumerate(requests, 1)))
        answers: list[list[Reply]] = [[] for _ in requests]
        failed: dict[int, NetlinkError] = {}
        interrupted: set[int] = set()
        waiting = set(range(1, len(requests) + 1))
        while waiting:
            for reply in codec.decode(self._receive()):
                if reply.sequence not in waiting:
                    continue
                if reply.flags & codec.INTERRUPTED:
                    interrupted.add(reply.sequence)
                if reply.type not in (codec.ERROR, codec.DONE):
                    answers[reply.sequence - 1].append(reply)
                    continue
                waiting.discard(reply.sequence)
                code, words = codec.error_of(reply)
                if code:
                    failed[reply.sequence] = request_error(requests[reply.sequence - 1], code, words)
        if failed:
            raise failed[min(failed)]
        for sequence in interrupted:
            answers[sequence - 1] = self._again(requests[sequence - 1], tries - 1)
        return answers

    def _again(self, request: Request, tries: int) -> list[Reply]:
        if not tries:
            raise request_error(request, errno.EINTR, "others kept on changing it")
        if tries < _TRIES // 2:
            time.sleep(_CALM_SECONDS)
        return self._batch((request,), tries)[0]

    def _receive(self) -> bytes:
        """The next datagram. Its buffer is the thread's: asking for one each time would take longer than the rest."""
        buffer: mmap | None = getattr(_local, "buffer", None)
        if buffer is None:
            buffer = _local.buffer = mmap(-1, _RECEIVE)
        return buffer[: self._socket.recv_into(buffer)]


def _open(protocol: int) -> socket.socket:
    opened = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol)
    try:
        for option in (_CAP_ACK, _EXT_ACK):
            opened.setsockopt(_SOL_NETLINK, option, 1)
        if protocol == socket.NETLINK_ROUTE:
            opened.setsockopt(_SOL_NETLINK, _STRICT_CHECK, 1)
        opened.bind((0, 0))
    except BaseException:
        opened.close()
        raise
    return opened


def _changes(request: Request) -> bool:
    """Whether a message of rtnetlink is more than a question: of four types for each object the third is GET."""
    return request.type & 3 != 2


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
    """``function()`` called in the namespace; None: where the caller is.

    A thread of ``run_in_own_thread`` goes there itself and comes back, which takes 10 microseconds; for any other one a
    new thread goes, which takes 100. Raises what ``function`` raises, and OSError when ``netns_fd`` is not a network
    namespace.
    """
    if netns_fd is None:
        return function()
    if not getattr(_local, "comes_back", False):
        return _in_new_thread(lambda: _called_in(netns_fd, function))
    with opened("/proc/thread-self/ns/net") as here:
        try:
            return _called_in(netns_fd, function)
        finally:
            _return_to(here)


async def run_in_own_thread(function: Callable[[], T]) -> T:
    """``function()`` called in a thread of ``net.threads``, while the event loop goes on. Raises what it raises.

    It cannot be stopped: a caller that is cancelled, be it by anyio or by ``Task.cancel``, is so when it has ended.
    """
    await anyio.lowlevel.checkpoint_if_cancelled()
    return await threads.call(partial(contextvars.copy_context().run, _coming_back, function))


def _coming_back(function: Callable[[], T]) -> T:
    _local.comes_back = True
    return function()


def _return_to(netns_fd: int) -> None:
    try:
        _enter(netns_fd)
    except OSError:
        threads.leave()
        raise


def _called_in(netns_fd: int, function: Callable[[], T]) -> T:
    _enter(netns_fd)
    return function()


def _in_new_thread(function: Callable[[], T]) -> T:
    results: list[T] = []
    failures: list[BaseException] = []

    def call() -> None:
        try:
            results.append(function())
        except BaseException as exc:  # handed over to the thread that waits below
            failures.append(exc)

    thread = threading.Thread(target=call, name="netns", daemon=True)
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
