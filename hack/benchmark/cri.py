"""Sandboxes of two CRI servers, measured by one client: each server on a throw-away host, the rounds interleaved."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from json import dumps
from pathlib import Path
from typing import Any

import grpc.aio
from msgspec import Struct

from crishim.rpc.pb import api_pb2 as pb
from crishim.rpc.pb import api_pb2_grpc
from tests.lab.conflists import CURRENT, PORTMAP, ROOT, bridge, conflist
from tests.lab.cri import pod_config, run_request
from tests.lab.daemon import Daemon, containerd, crishim

# Sandboxes of the peer have cgroups, which are not part of a throw-away host; below this parent they are found again.
CGROUP = "crishim-bench"

# Milliseconds by server name, sandboxes at once, and rpc.
Measured = dict[str, dict[int, dict[str, list[float]]]]


class Load(Struct, frozen=True):
    """What is asked of each server: in every round ``pods`` sandboxes, for each of ``ways`` so many at once."""

    pods: int
    rounds: int
    ways: tuple[int, ...]


def compare(load: Load, plugins: str, progress: Callable[[str], Any]) -> Measured:
    """Start both servers, apply ``load`` and return what each rpc took. Nothing is left on the machine."""
    with ExitStack() as stack:
        home = Path(stack.enter_context(_directory()))
        own = {"plugins": plugins}
        servers = [make(home / make.__name__, [CURRENT.directory], {}, own) for make in (crishim, containerd)]
        for server in servers:
            stack.enter_context(_running(server))
        return asyncio.run(_measure(servers, load, progress))


async def _measure(servers: list[Daemon], load: Load, progress: Callable[[str], Any]) -> Measured:
    measured: Measured = {server.name: {way: defaultdict(list) for way in load.ways} for server in servers}
    async with _Clients(servers) as clients:
        for client in clients:  # the first sandbox makes the bridge and loads what is loaded lazily
            await _live(client, "warm-up", defaultdict(list))
        for number in range(load.rounds):
            for way in load.ways:
                for client in clients if number % 2 else reversed(clients):
                    progress(f"round {number + 1} of {load.rounds}: {client.name}, {way} at once")
                    await _round(client, load.pods, way, measured[client.name][way])
    return measured


async def _round(client: _Client, pods: int, at_once: int, times: dict[str, list[float]]) -> None:
    limit = asyncio.Semaphore(at_once)

    async def one(number: int) -> None:
        async with limit:
            await _live(client, f"pod-{number}", times)

    async with asyncio.TaskGroup() as group:
        for number in range(pods):
            group.create_task(one(number))


async def _live(client: _Client, name: str, times: dict[str, list[float]]) -> None:
    """The life of one sandbox, each step timed."""

    async def timed(rpc: str, call: Awaitable[Any]) -> Any:
        start = time.perf_counter()
        answer = await call
        times[rpc].append((time.perf_counter() - start) * 1000)
        return answer

    stub = client.stub
    config = pod_config(name, linux={"cgroup_parent": f"/{CGROUP}"})
    pod = (await timed("RunPodSandbox", stub.RunPodSandbox(run_request(config)))).pod_sandbox_id
    await timed("PodSandboxStatus", stub.PodSandboxStatus(pb.PodSandboxStatusRequest(pod_sandbox_id=pod)))
    await timed("StopPodSandbox", stub.StopPodSandbox(pb.StopPodSandboxRequest(pod_sandbox_id=pod)))
    await timed("RemovePodSandbox", stub.RemovePodSandbox(pb.RemovePodSandboxRequest(pod_sandbox_id=pod)))


class _Client(Struct, frozen=True):
    name: str
    stub: Any


class _Clients:
    """A connection to each server."""

    def __init__(self, servers: list[Daemon]) -> None:
        self._servers = servers
        self._channels: list[grpc.aio.Channel] = []

    async def __aenter__(self) -> list[_Client]:
        self._channels = [grpc.aio.insecure_channel(f"unix://{server.socket}") for server in self._servers]
        stubs = map(api_pb2_grpc.RuntimeServiceStub, self._channels)
        return [_Client(server.name, stub) for server, stub in zip(self._servers, stubs, strict=True)]

    async def __aexit__(self, *_: object) -> None:
        for channel in self._channels:
            await channel.close(None)


@contextmanager
def _running(server: Daemon) -> Iterator[None]:
    network = conflist("bench", bridge("cni0", "10.88.0.0/16"), PORTMAP)
    (server.conf_dir / "10-bench.conflist").write_text(dumps(network))
    try:
        server.start(host=[ROOT / "hack/throwaway"])
        yield
    except grpc.RpcError:
        print(server.tail())
        raise
    finally:
        server.kill()  # it is the throw-away host that is killed, and with it all that runs there


@contextmanager
def _directory() -> Iterator[str]:
    """A temporary directory; afterwards also the peer's cgroups are removed."""
    path = tempfile.mkdtemp(prefix="crishim-bench-", dir="/tmp")
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
        for cgroup in [*Path("/sys/fs/cgroup").glob(f"*/{CGROUP}"), Path("/sys/fs/cgroup") / CGROUP]:
            with suppress(FileNotFoundError):
                cgroup.rmdir()
