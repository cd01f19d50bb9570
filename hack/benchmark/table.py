"""The measurements as tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from statistics import median, quantiles

from rich import box
from rich.table import Table

from hack.benchmark.contenders import PEER
from hack.benchmark.cri import Load, Measured
from hack.benchmark.goals import MEMORY, TIMES, Goal
from hack.benchmark.timed import Times


def tables(load: Load, measured: Mapping[str, Measured]) -> Iterator[Table]:
    """Times and memory of every server, and how ours compare to the peer's and to what is to be reached."""
    ours = [name for name in measured if name != PEER]
    number = load.pods * load.rounds
    for way in load.ways:
        times = {name: measured[name].times[way] for name in (*ours, PEER)}
        yield times_table(f"{number} pods, {number} containers, {way} at once", times, goals=TIMES if way == 1 else {})
    result = new_table("memory, MiB, of all processes but the workloads", ours)
    for row in measured[PEER].memory:
        values = {name: measured[name].memory[row] for name in (*ours, PEER)}
        cells = [f"{value:.1f}" for value in values.values()]
        result.add_row(row, *cells, *verdicts(values, MEMORY.get(row)))
    yield result


def times_table(what: str, times: Mapping[str, Times], goals: Mapping[str, Goal]) -> Table:
    """The times of every server, the peer's last."""
    result = new_table(f"milliseconds, median (95th percentile); {what}", [name for name in times if name != PEER])
    for name in times[PEER]:
        cells = [f"{median(each[name]):.2f} ({quantiles(each[name], n=20)[-1]:.1f})" for each in times.values()]
        medians = {server: median(each[name]) for server, each in times.items()}
        result.add_row(name, *cells, *verdicts(medians, goals.get(name)))
    return result


def new_table(title: str, ours: list[str]) -> Table:
    """A table with a column for each server and what is made of them."""
    result = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    result.add_column("", no_wrap=True)
    for name in (*ours, PEER):
        result.add_column(name, justify="right", no_wrap=True)
    for name in ours:
        result.add_column(f"ratio\n{name.rpartition(' ')[2]}", justify="right")
    result.add_column("goal", no_wrap=True)
    for name in ours:
        result.add_column(f"met\n{name.rpartition(' ')[2]}")
    return result


def verdicts(values: Mapping[str, float], goal: Goal | None) -> Iterator[str]:
    """The cells that compare ``values``, the peer's among them, to the peer's and to ``goal``."""
    theirs = values[PEER]
    ours = [value for name, value in values.items() if name != PEER]
    yield from (f"{value / theirs:.3f}" for value in ours)
    yield goal.text() if goal else ""
    yield from (("yes" if goal.met(value, theirs) else "NO") if goal else "" for value in ours)
