"""The measurements as a table."""

from __future__ import annotations

from statistics import median, quantiles

from rich import box
from rich.table import Table

from hack.benchmark.cri import Load, Measured

SIDES = ("crishim", "containerd")


def table(load: Load, measured: Measured) -> Table:
    """Median and 95th percentile of every rpc on both sides, and the ratio of the medians, ours to theirs."""
    title = f"milliseconds; {load.pods * load.rounds} sandboxes in {load.rounds} rounds"
    result = Table(title=title, box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    result.add_column("at once", justify="right")
    result.add_column("rpc", no_wrap=True)
    for side in SIDES:
        result.add_column(f"{side}\nmedian", justify="right")
        result.add_column("\np95", justify="right")
    result.add_column("ratio of\nmedians", justify="right")
    for way in load.ways:
        for rpc in measured["crishim"][way]:
            sides = [measured[side][way][rpc] for side in SIDES]
            numbers = [f"{number:.1f}" for times in sides for number in (median(times), quantiles(times, n=20)[-1])]
            result.add_row(str(way), rpc, *numbers, f"{median(sides[0]) / median(sides[1]):.2f}")
        result.add_section()
    return result
