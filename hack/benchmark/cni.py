"""CNI chains run by built-in plugins and by the reference executables, in turns, each on a throw-away host.

Both go through ``CniRuntime``: the same checks of results, the same cache. What is measured is what a sandbox waits
for: loopback, then bridge with host-local and portmap, with other pods on the host already, of the same kind. The
built-in DEL leaves deleting the veth pair to the end of the namespace; so when pods go many at once, their
namespaces are removed as well, and the time ends when the host has none of their links any more.
"""

from __future__ import annotations

import asyncio
import gc
import json
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct, field, structs

from cni_runtime.conf.parse import parse_network_list
from cni_runtime.conf.types import NetworkList
from cni_runtime.invoke.builtin import BuiltinInvoker
from cni_runtime.invoke.executable import ExecutableInvoker
from cni_runtime.runtime import Attachment, CniRuntime
from cni_runtime.testing.host import Host
from cni_runtime.testing.throwaway import run_on_throwaway_host
from hack.benchmark.rounds import in_turns
from tests.lab.conflists import CURRENT, PORTMAP, bridge, conflist

KINDS = ("built in", "executables")
WAYS = ("no port", "one port")
CROWDS = (0, 50, 200)
_LOOPBACK = conflist("cni-loopback", {"type": "loopback"})
_PODS = conflist("bench", bridge("cni0", "10.88.0.0/16"), PORTMAP)
_FIRST_PORT = 20000
_TIMEOUT = 600.0


_Pod = Sequence[tuple[NetworkList, Attachment]]


class CniLoad(Struct, frozen=True):
    """``there`` pods are on the host; ``rounds`` times ``pods`` more come and go one by one, in each of WAYS.

    Then ``burst`` pods come and go, ``at_once`` at a time; the built-in plugins attach and detach one pod ``cycles``
    times, and some pods with a port beside each of CROWDS others.
    """

    there: int
    pods: int
    rounds: int
    burst: int
    at_once: int
    cycles: int


class CniMeasured(Struct):
    """Milliseconds by "verb, way"; seconds by verb for the burst; KiB of resident memory by number of cycles.

    ``crowds`` is milliseconds by number of other pods and verb.
    """

    milliseconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    burst: dict[str, float] = field(default_factory=dict)
    memory: dict[int, int] = field(default_factory=dict)
    crowds: dict[int, dict[str, list[float]]] = field(default_factory=dict)


def compare_plugins(load: CniLoad, progress: Callable[[str], Any]) -> dict[str, CniMeasured]:
    """Measure both kinds in turns. Nothing is left on the machine."""
    measured = {kind: CniMeasured() for kind in KINDS}
    for name, order in in_turns(load.rounds, KINDS):
        for kind in order:
            progress(f"{name}: {kind}, one by one")
            for step, times in _on_host(kind, load, _one_by_one, dict[str, list[float]]).items():
                measured[kind].milliseconds[step] += times
    for kind in KINDS:
        progress(f"{kind}: {load.burst} pods, {load.at_once} at once")
        measured[kind].burst = _on_host(kind, load, _burst, dict[str, float])
    progress(f"built in: {load.cycles} cycles")
    measured[KINDS[0]].memory = _on_host(KINDS[0], load, _cycles, dict[int, int])
    for there in CROWDS:
        progress(f"built in: beside {there} others")
        crowd = structs.replace(load, there=there)
        measured[KINDS[0]].crowds[there] = _on_host(KINDS[0], crowd, _one_by_one, dict[str, list[float]])
    return measured


class _Bench:
    """One kind of plugins, and the pods on this host."""

    def __init__(self, kind: str) -> None:
        self.invoker = BuiltinInvoker() if kind == KINDS[0] else ExecutableInvoker()
        self.runtime = CniRuntime(self.invoker, path=[CURRENT.directory])
        self.networks = [_network(_LOOPBACK), _network(_PODS)]
        self._host = Host()

    def pod(self, number: int, *, port: bool) -> _Pod:
        """Pod ``number``: its networks, outermost last, and its interfaces; the namespace is made here."""
        netns = self._host.add_netns(f"pod{number}")
        mapping = {"hostPort": _FIRST_PORT + number, "containerPort": 80, "protocol": "tcp"}
        given: dict[str, Any] = {"portMappings": [mapping]} if port else {}
        return [
            (
                network,
                Attachment(container_id=f"pod{number}", netns=str(netns), ifname=name, capability_args=given),
            )
            for network, name in zip(self.networks, ("lo", "eth0"), strict=True)
        ]

    async def add(self, pod: _Pod) -> None:
        for network, attachment in pod:
            await self.runtime.add(network, attachment)

    async def delete(self, pod: _Pod) -> None:
        for network, attachment in reversed(pod):
            await self.runtime.delete(network, attachment)

    def forget(self, number: int) -> None:
        """Remove the namespace."""
        self._host.run("ip", "netns", "del", f"pod{number}")

    def has_links(self) -> bool:
        """Whether the host still has the end of a pod's veth pair."""
        return any(link.startswith("veth") for link in self._host.links())


async def _one_by_one(bench: _Bench, load: CniLoad) -> dict[str, list[float]]:
    times: dict[str, list[float]] = defaultdict(list)
    for number in range(load.there):
        await bench.add(bench.pod(number, port=True))
    for number in range(load.there, load.there + load.pods * len(WAYS)):
        way = WAYS[number % len(WAYS)]
        pod = bench.pod(number, port=way == WAYS[1])
        with _timed(times[f"ADD, {way}"]):
            await bench.add(pod)
        with _timed(times[f"DEL, {way}"]):
            await bench.delete(pod)
        bench.forget(number)
    return times


async def _burst(bench: _Bench, load: CniLoad) -> dict[str, float]:
    pods = [bench.pod(number, port=True) for number in range(load.burst)]
    begun = time.perf_counter()
    await _together(bench.add, pods, load.at_once)
    added = time.perf_counter()
    await _together(bench.delete, pods, load.at_once)
    for number in range(load.burst):
        bench.forget(number)
    while bench.has_links():  # noqa: ASYNC110  # the kernel takes namespaces apart in the background
        await asyncio.sleep(0.01)
    return {"ADD": added - begun, "DEL": time.perf_counter() - added}


async def _together(verb: Callable[[_Pod], Awaitable[None]], pods: Sequence[_Pod], at_once: int) -> None:
    limit = asyncio.Semaphore(at_once)

    async def one(pod: _Pod) -> None:
        async with limit:
            await verb(pod)

    async with asyncio.TaskGroup() as group:
        for pod in pods:
            group.create_task(one(pod))


async def _cycles(bench: _Bench, load: CniLoad) -> dict[int, int]:
    memory: dict[int, int] = {}
    pod = bench.pod(0, port=True)
    for number in range(load.cycles + 1):
        if number % max(1, load.cycles // 20) == 0:
            gc.collect()
            memory[number] = _resident()
        await bench.add(pod)
        await bench.delete(pod)
    return memory


def _on_host(kind: str, load: CniLoad, work: Callable[[_Bench, CniLoad], Any], answer: Any) -> Any:
    async def run() -> bytes:
        bench = _Bench(kind)
        done = await work(bench, load)
        if isinstance(bench.invoker, BuiltinInvoker):
            await bench.invoker.aclose()
        return msgspec.json.encode(done)

    return msgspec.json.decode(run_on_throwaway_host(lambda: asyncio.run(run()), timeout=_TIMEOUT), type=answer)


@contextmanager
def _timed(times: list[float]) -> Iterator[None]:
    begun = time.perf_counter()
    yield
    times.append((time.perf_counter() - begun) * 1000)


def _network(config: dict[str, Any]) -> NetworkList:
    return parse_network_list(json.dumps(config), "benchmark")


def _resident() -> int:
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmRSS:")[2].split(maxsplit=1)[0])
