"""What was measured of CNI plugins as tables, each figure next to its target."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median, quantiles

from rich.table import Table

from hack.benchmark.cni import KINDS, CniLoad, CniMeasured

# How many times faster than the executables, and how much more memory after all cycles than after half of them.
TARGETS = {"ADD": 6, "DEL": 20}
GROWTH = 0.02


def cni_tables(load: CniLoad, measured: dict[str, CniMeasured]) -> Iterator[Table]:
    """Times, pods per second, memory, and times by number of pods on the host."""
    ours, theirs = (measured[kind] for kind in KINDS)
    yield _times(load, ours, theirs)
    yield _rates(load, ours, theirs)
    yield _memory(ours)
    yield _crowds(ours)


def _times(load: CniLoad, ours: CniMeasured, theirs: CniMeasured) -> Table:
    table = Table(title=f"milliseconds; {load.pods * load.rounds} pods of each sort beside {load.there} others")
    for heading in ("verb", "", *(f"{kind}\n{what}" for kind in KINDS for what in ("median", "p95"))):
        table.add_column(heading, justify="right" if heading.strip("verb") else "left")
    for heading in ("ratio", "target", ""):
        table.add_column(heading, justify="right")
    for step, own in ours.milliseconds.items():
        sides = (own, theirs.milliseconds[step])
        numbers = [f"{number:.1f}" for side in sides for number in (median(side), quantiles(side, n=20)[-1])]
        verb, way = step.split(", ")
        ratio = median(sides[1]) / median(own)
        table.add_row(verb, way, *numbers, f"1/{ratio:.1f}", f"1/{TARGETS[verb]}", _met(ratio >= TARGETS[verb]))
    return table


def _rates(load: CniLoad, ours: CniMeasured, theirs: CniMeasured) -> Table:
    table = Table("pods/s", *KINDS, "ratio", title=f"{load.burst} pods, {load.at_once} at once")
    for verb, what in (("ADD", "ADD"), ("DEL", "DEL, until no link is left")):
        rates = (load.burst / ours.burst[verb], load.burst / theirs.burst[verb])
        table.add_row(what, *(f"{one:.0f}" for one in rates), f"{rates[0] / rates[1]:.1f}")
    return table


def _memory(ours: CniMeasured) -> Table:
    table = Table("cycles", "resident MiB", "growth", "target", "", title="ADD and DEL of one pod, built in")
    sizes = sorted(ours.memory.items())
    (_, middle), (last, size) = sizes[len(sizes) // 2], sizes[-1]
    for number, before in (sizes[0], sizes[1], sizes[len(sizes) // 2]):
        table.add_row(str(number), f"{before / 1024:.1f}")
    growth = size / middle - 1
    table.add_row(str(last), f"{size / 1024:.1f}", f"{growth:.1%}", f"{GROWTH:.0%}", _met(growth <= GROWTH))
    return table


def _crowds(ours: CniMeasured) -> Table:
    steps = list(ours.milliseconds)
    table = Table("other pods", *steps, title="milliseconds, built in, medians by number of pods on the host")
    for there, times in ours.crowds.items():
        table.add_row(str(there), *(f"{median(times[step]):.1f}" for step in steps))
    return table


def _met(met: bool) -> str:
    return "met" if met else "not met"
