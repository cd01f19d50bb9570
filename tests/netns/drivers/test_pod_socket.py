"""Connections to localhost inside a pod's network namespace."""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from pathlib import Path

import anyio
import pytest

from crishim.core.errors import UnavailableError
from crishim.drivers import syscalls, threads
from crishim.drivers.namespaces import NamespaceDriver
from crishim.drivers.pod_socket import PodDialer
from crishim.model.sandbox import NamespacePaths, NamespaceSpec

pytestmark = pytest.mark.anyio

POD = "/run/netns/cni-pod"


@pytest.fixture
async def pod() -> str:
    await NamespaceDriver().create(NamespaceSpec(NamespacePaths(net=POD), loopback_up=True))
    return POD


def listen(path: str, address: str) -> socket.socket:
    """A socket of the namespace at ``path``; for a thread of its own."""
    file = os.open(path, os.O_RDONLY)
    syscalls.setns(file, syscalls.CLONE_NEWNET)
    os.close(file)
    return socket.create_server((address, 8080), family=socket.AF_INET6 if ":" in address else socket.AF_INET)


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
async def test_localhost_of_the_pod(pod: str, address: str) -> None:
    listener = await threads.run_alone(listen, pod, address)
    connection = await PodDialer().connect(pod, 8080)
    accepted, _ = listener.accept()
    await connection.write(b"hello")
    assert accepted.recv(100) == b"hello"
    connection.close()
    accepted.close()
    listener.close()


async def test_localhost_of_the_node_is_another(pod: str) -> None:
    with socket.create_server(("127.0.0.1", 8080)), pytest.raises(UnavailableError, match=f"port 8080 in {POD}"):
        await PodDialer().connect(pod, 8080)


def namespaces() -> set[Path]:
    """The network namespaces of all threads of this process."""
    found = set()
    for task in Path("/proc/self/task").iterdir():
        with suppress(FileNotFoundError):  # a thread that has just ended
            found.add((task / "ns/net").readlink())
    return found


def own_namespace() -> Path:
    """That of the first thread."""
    return Path("/proc/self/ns/net").readlink()


async def test_this_process_stays_where_it_is(pod: str) -> None:
    own = {own_namespace()}
    listener = await threads.run_alone(listen, pod, "127.0.0.1")
    connection = await PodDialer().connect(pod, 8080)
    with anyio.fail_after(5):  # a thread that was in the pod ends a moment after it has given its answer
        while namespaces() != own:  # noqa: ASYNC110  # nothing tells of it
            await anyio.sleep(0.01)
    connection.close()
    listener.close()
