"""Pods and containers of CRI servers, measured by one client: each on a throw-away host, the rounds interleaved."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from itertools import product
from typing import Any

from msgspec import Struct, field

from hack.benchmark.contenders import contenders
from hack.benchmark.goals import PER_POD, WITH_MORE, WITH_PODS
from hack.benchmark.lives import Client
from hack.benchmark.memory import memory
from hack.benchmark.rounds import in_turns
from hack.benchmark.timed import Times

_IDLE_PODS = 10
_REST_SECONDS = 2.0  # for what a server does behind a call


class Load(Struct, frozen=True):
    """What is asked of each server: in every round ``pods`` pods and containers, for each of ``ways`` so many at once.

    ``runtimes``: the OCI runtimes that crishim is measured with. ``plugins``: where its CNI plugins come from.
    """

    pods: int
    rounds: int
    ways: tuple[int, ...]
    runtimes: tuple[str, ...]
    plugins: str


class Measured(Struct, frozen=True):
    """What one server took: milliseconds by lives at once and what was done, and MiB by what was there."""

    times: dict[int, Times] = field(default_factory=lambda: defaultdict(lambda: defaultdict(list)))
    memory: dict[str, float] = field(default_factory=dict)


def compare(load: Load, progress: Callable[[str], Any]) -> dict[str, Measured]:
    """Start the servers, apply ``load``, and say what each of them took. Nothing is left on the machine."""
    with contenders(load.runtimes, load.plugins) as found, ExitStack() as stack:
        clients = [stack.enter_context(closing(Client(contender))) for contender in found]
        measured = {client.name: Measured() for client in clients}
        for client in clients:
            progress(f"{client.name}: memory")
            # The first ones make the bridge and load what is loaded late.
            client.live_as_pod(defaultdict(list))
            client.live_as_container(defaultdict(list))
            _measure_memory(client, measured[client.name].memory)
        for (name, order), way in product(in_turns(load.rounds, clients), load.ways):
            for client in order:
                progress(f"{name}: {client.name}, {way} at once")
                _round(client, load.pods, way, measured[client.name].times[way])
        time.sleep(_REST_SECONDS)
        for client in clients:
            measured[client.name].memory["after the load"] = memory(client.process())
        return measured


def _round(client: Client, number: int, at_once: int, times: Times) -> None:
    with ThreadPoolExecutor(at_once) as pool:
        for live in (client.live_as_pod, client.live_as_container):
            _all([pool.submit(live, times) for _ in range(number)])


def _all(futures: Sequence[Any]) -> None:
    for future in futures:
        future.result()


def _measure_memory(client: Client, found: dict[str, float]) -> None:
    pods: list[str] = []

    def with_more(number: int) -> float:
        pods.extend(client.run(defaultdict(list))[0] for _ in range(number))
        time.sleep(_REST_SECONDS)
        return memory(client.process())

    found["no pods"] = with_more(0)
    found[WITH_PODS] = with_more(_IDLE_PODS)
    found[WITH_MORE] = with_more(_IDLE_PODS)
    # Not from none to the first ones: these bring the libraries that all monitors share.
    found[PER_POD] = (found[WITH_MORE] - found[WITH_PODS]) / _IDLE_PODS
    for pod in pods:
        client.remove_pod(pod, defaultdict(list))
