"""The benchmark's command line: ``hack/bench cri|image``."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console

from hack.benchmark.cri import Load, compare
from hack.benchmark.image import compare_images, image_table
from hack.benchmark.table import table

app = typer.Typer(help="Measure crishim next to its peer.", pretty_exceptions_enable=False)


@app.command()
def cri(
    pods: Annotated[int, typer.Option(help="Sandboxes per round, server and way of asking.")] = 16,
    rounds: Annotated[int, typer.Option(help="Rounds; the servers take turns within each.")] = 5,
    at_once: Annotated[int, typer.Option(help="Sandboxes in the making at once, in the second way of asking.")] = 8,
    plugins: Annotated[str, typer.Option(help="Where crishim's plugins come from: exec, builtin or auto.")] = "exec",
) -> None:
    """Run, look at, stop and remove sandboxes: crishim and containerd, both with the same plugin executables."""
    load = Load(pods=pods, rounds=rounds, ways=(1, at_once))
    console = Console()
    with console.status("starting crishim and containerd") as status:
        measured = compare(load, plugins, progress=status.update)
    console.print(table(load, measured))


@app.command()
def image(rounds: Annotated[int, typer.Option(help="Rounds; the servers take turns within each.")] = 5) -> None:
    """Pull and remove a large and a small image: crishim and containerd, from one registry on loopback."""
    console = Console()
    with console.status("starting") as status:
        measured = compare_images(rounds, progress=status.update)
    console.print(image_table(measured))


app()
