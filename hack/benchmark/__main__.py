"""The benchmark's command line: ``hack/bench cri|critest|polling|image|cni|streaming``."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from hack.benchmark.cni import CniLoad, compare_plugins
from hack.benchmark.cni_table import cni_tables
from hack.benchmark.cri import Load, compare
from hack.benchmark.goals import TIMES
from hack.benchmark.image import compare_images, image_table
from hack.benchmark.polling import PollingLoad, compare_polling, polling_table
from hack.benchmark.streaming import StreamingLoad, compare_streams, streaming_table
from hack.benchmark.suite import SuiteLoad, compare_by_suite
from hack.benchmark.table import tables, times_table

app = typer.Typer(help="Measure crishim next to its peer.", pretty_exceptions_enable=False)


@contextmanager
def showing() -> Iterator[tuple[Console, Callable[[str], None]]]:
    """Where the tables go, and what is told how far the benchmark has come."""
    console = Console() if sys.stdout.isatty() else Console(width=120)
    with console.status("starting") as status:
        yield console, status.update


@app.command()
def cri(
    pods: Annotated[int, typer.Option(help="Pods, and containers, per round, server and way of asking.")] = 8,
    rounds: Annotated[int, typer.Option(help="Rounds; the servers take turns within each.")] = 5,
    at_once: Annotated[int, typer.Option(help="Lives at once, in the second way of asking.")] = 8,
    runtime: Annotated[list[str], typer.Option(help="OCI runtimes of crishim.")] = ["crun", "runc"],  # noqa: B006
    plugins: Annotated[str, typer.Option(help="Where crishim's plugins come from: exec, builtin or auto.")] = "builtin",
) -> None:
    """Pods and containers of crishim and of containerd, which runs runc and executable plugins."""
    load = Load(pods=pods, rounds=rounds, ways=(1, at_once), runtimes=tuple(runtime), plugins=plugins)
    with showing() as (console, progress):
        measured = compare(load, progress=progress)
    for one in tables(load, measured):
        console.print(one)


@app.command()
def critest(
    pods: Annotated[int, typer.Option(help="Pods, and containers, per round and server.")] = 40,
    rounds: Annotated[int, typer.Option(help="Rounds; the servers take turns within each.")] = 3,
    runtime: Annotated[list[str], typer.Option(help="OCI runtimes of crishim.")] = ["crun", "runc"],  # noqa: B006
) -> None:
    """Pods and containers one at a time, by the benchmark of the CRI validation suite."""
    load = SuiteLoad(pods=pods, rounds=rounds, runtimes=tuple(runtime))
    with showing() as (console, progress):
        measured = compare_by_suite(load, progress=progress)
    number = pods * rounds
    console.print(times_table(f"{number} pods, {number} containers, 1 at once, by critest", measured, TIMES))


@app.command()
def polling(
    pods: Annotated[int, typer.Option(help="Pods with a container each that come and go.")] = 100,
    at_once: Annotated[int, typer.Option(help="How many of these in the making at once.")] = 8,
    rounds: Annotated[int, typer.Option(help="Rounds; the servers take turns within each.")] = 5,
    runtime: Annotated[list[str], typer.Option(help="OCI runtimes of crishim.")] = ["crun"],  # noqa: B006
) -> None:
    """The answers to kubelet's questions, each second, while pods come and go."""
    load = PollingLoad(pods=pods, at_once=at_once, rounds=rounds, runtimes=tuple(runtime))
    with showing() as (console, progress):
        measured = compare_polling(load, progress=progress)
    console.print(polling_table(load, measured))


@app.command()
def image(
    rounds: Annotated[int, typer.Option(help="Rounds; the servers take turns within each.")] = 5,
    directory: Annotated[
        Path, typer.Option(help="Where the servers have their files; a tmpfs leaves the disk out.")
    ] = Path("/tmp"),
) -> None:
    """Pull and remove a large and a small image: crishim and containerd, from one registry on loopback."""
    with showing() as (console, progress):
        measured = compare_images(rounds, directory, progress=progress)
    console.print(image_table(measured))


@app.command()
def cni(
    there: Annotated[int, typer.Option(help="Pods that are on the host already.")] = 50,
    pods: Annotated[int, typer.Option(help="Pods that come and go per round and kind of plugins.")] = 10,
    rounds: Annotated[int, typer.Option(help="Rounds; the kinds take turns.")] = 5,
    burst: Annotated[int, typer.Option(help="Pods that come all together.")] = 200,
    at_once: Annotated[int, typer.Option(help="How many of these in the making at once.")] = 8,
    cycles: Annotated[int, typer.Option(help="Times that one pod comes and goes while memory is watched.")] = 2000,
) -> None:
    """Attach and detach pods: the built-in CNI plugins and the reference executables."""
    load = CniLoad(there=there, pods=pods, rounds=rounds, burst=burst, at_once=at_once, cycles=cycles)
    with showing() as (console, progress):
        measured = compare_plugins(load, progress=progress)
    for one in cni_tables(load, measured):
        console.print(one)


@app.command()
def streaming(
    mib: Annotated[int, typer.Option(help="MiB that go through each stream.")] = 1024,
    rounds: Annotated[int, typer.Option(help="Rounds; the servers take turns within each.")] = 2,
) -> None:
    """Output and input of commands, and connections to pods in both directions, by kubectl's clients."""
    load = StreamingLoad(mib=mib, rounds=rounds)
    with showing() as (console, progress):
        measured = compare_streams(load, progress=progress)
    console.print(streaming_table(load, measured))


app()
