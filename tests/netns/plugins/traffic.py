"""Real traffic between namespaces: servers that say who they are and whom they see, and questions to them.

Sockets are opened by a thread that enters the namespace; everything stays in the test's own process.
"""

from __future__ import annotations

import select
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from cni_runtime.net.sockets import in_namespace, opened

_PATIENCE = 0.7  # seconds
_SCTP = 132


@contextmanager
def serving(name: str, netns: Path, port: int = 80) -> Iterator[None]:
    """Answer on TCP and UDP ``port`` of all addresses in ``netns`` with ``name`` and the client's address."""
    done = threading.Event()
    with ExitStack() as undo, opened(netns) as fd:
        sockets = in_namespace(fd, lambda: [undo.enter_context(one) for one in _listening(port)])
        server = threading.Thread(target=_answer, args=(name, sockets, done), daemon=True)
        server.start()
        undo.callback(server.join)
        undo.callback(done.set)
        yield


def ask(protocol: str, address: str, port: int, netns: Path | None = None) -> str:
    """What the server behind ``address`` answers somebody in ``netns`` (None: the host); empty: nothing."""
    if netns is None:
        return _ask(protocol, address, port)
    with opened(netns) as fd:
        return in_namespace(fd, lambda: _ask(protocol, address, port))


def _ask(protocol: str, address: str, port: int) -> str:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    kind = socket.SOCK_DGRAM if protocol == "udp" else socket.SOCK_STREAM
    with socket.socket(family, kind, _SCTP if protocol == "sctp" else 0) as client:
        client.settimeout(_PATIENCE)
        try:
            client.connect((address, port))
            client.send(b"?")
            return client.recv(200).decode()
        except OSError:
            return ""


def _listening(port: int) -> Iterator[socket.socket]:
    for family, everything in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
            server = socket.socket(family, kind)
            if family == socket.AF_INET6:
                server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            server.bind((everything, port))
            if kind == socket.SOCK_STREAM:
                server.listen()
            yield server


def _answer(name: str, sockets: Sequence[socket.socket], done: threading.Event) -> None:
    while not done.is_set():
        for ready in select.select(sockets, (), (), 0.02)[0]:
            if ready.type == socket.SOCK_STREAM:
                connection, client = ready.accept()
                with connection:
                    connection.sendall(f"{name} {client[0]}".encode())
                    connection.shutdown(socket.SHUT_WR)
                    while connection.recv(100):
                        pass
            else:
                _, client = ready.recvfrom(100)
                ready.sendto(f"{name} {client[0]}".encode(), client)


def rate(source: Path | None, target: Path | None, address: str) -> float:
    """Bits per second by TCP from a namespace to ``address`` in another; None: the host."""
    with _entered(target, lambda: socket.create_server((address, 7))) as server:
        received: list[float] = []
        reader = threading.Thread(target=_read, args=(server, received))
        reader.start()
        with _entered(source, lambda: socket.create_connection((address, 7), timeout=5)) as client:
            end = time.monotonic() + 0.9
            while time.monotonic() < end:
                client.send(bytes(16384))
        reader.join()
    return received[0]


def _entered(netns: Path | None, make: Any) -> socket.socket:
    if netns is None:
        return make()  # type: ignore[no-any-return]  # a socket
    with opened(netns) as fd:
        return in_namespace(fd, make)  # type: ignore[no-any-return]  # a socket


def _read(server: socket.socket, received: list[float]) -> None:
    """The rate of the second half of a transfer, when the burst is used up and TCP has found its pace."""
    connection = server.accept()[0]
    with connection:
        started, count, marks = time.monotonic(), 0, [(0.0, 0)]
        while data := connection.recv(1 << 16):
            count += len(data)
            marks.append((time.monotonic() - started, count))
    half = next(mark for mark in marks if mark[0] >= marks[-1][0] / 3)
    received.append((marks[-1][1] - half[1]) * 8 / (marks[-1][0] - half[0]))
