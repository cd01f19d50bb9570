"""How long kubelet's questions take while many pods come and go: crishim and containerd, in turns."""

from __future__ import annotations

import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from functools import partial
from json import loads
from statistics import median, quantiles
from typing import Any

from msgspec import Struct
from rich.table import Table

from hack.benchmark.contenders import PEER, Contender, compare_in_turns
from hack.benchmark.goals import POLLING, Goal
from hack.benchmark.lives import Client
from hack.benchmark.table import new_table, verdicts
from hack.benchmark.timed import Times


class PollingLoad(Struct, frozen=True):
    """So many pods with a container each are made and ended, ``at_once`` at a time."""

    pods: int
    at_once: int
    rounds: int
    runtimes: tuple[str, ...]


def compare_polling(load: PollingLoad, progress: Callable[[str], Any]) -> dict[str, Times]:
    """The times of each server's answers. Nothing is left on the machine."""
    return compare_in_turns(load.runtimes, load.rounds, partial(_round, load), progress)


def _round(load: PollingLoad, contender: Contender, times: Times) -> None:
    with closing(Client(contender)) as client, ThreadPoolExecutor(load.at_once) as pool:
        client.live_as_container(defaultdict(list))  # what is loaded late
        with _polled(contender, times):
            pods = list(pool.map(lambda _: client.run(defaultdict(list))[0], range(load.pods)))
            list(pool.map(lambda pod: client.remove_pod(pod, defaultdict(list)), pods))


@contextmanager
def _polled(contender: Contender, times: Times) -> Iterator[None]:
    command = [sys.executable, "-m", "hack.benchmark.poller", str(contender.server.socket)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as poller:
        yield
        answer, _ = poller.communicate()
    for name, found in loads(answer).items():
        times[name] += found


def polling_table(load: PollingLoad, measured: Mapping[str, Times]) -> Table:
    """The 95th percentiles, which count, with the medians."""
    what = f"{load.pods} pods and containers come and go, {load.at_once} at once"
    ours = [name for name in measured if name != PEER]
    result = new_table(f"milliseconds, 95th percentile (median), while {what}", ours)
    for name in measured[PEER]:
        _add_row(result, name, {server: measured[server][name] for server in (*ours, PEER)}, None)
    every = {server: [value for each in measured[server].values() for value in each] for server in (*ours, PEER)}
    _add_row(result, "all", every, POLLING)
    return result


def _add_row(table: Table, name: str, values: Mapping[str, list[float]], goal: Goal | None) -> None:
    p95 = {server: quantiles(each, n=20)[-1] for server, each in values.items()}
    cells = [f"{p95[server]:.1f} ({median(each):.1f})" for server, each in values.items()]
    table.add_row(name, *cells, *verdicts(p95, goal))
