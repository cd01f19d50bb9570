"""``crishim image pull|import|ls|rm``: images through the server, for people."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn
from rich.table import Table

from crishim.cli_options import Address, ConfigFile, fail, server_address
from crishim.core.errors import CrishimError

if TYPE_CHECKING:
    from crishim.rpc.image_client import ImageClient, ImageView, PullView

T = TypeVar("T")

image_app = typer.Typer(no_args_is_help=True, help="Pull, import, list and remove images.")

_ID_DIGITS = 12
_DONE = "done"


@image_app.command()
def pull(
    reference: Annotated[str, typer.Argument(help="Name of the image, such as busybox or registry.k8s.io/pause:3.9.")],
    address: Address = None,
    config: ConfigFile = None,
) -> None:
    """Pull an image, showing how far each layer is."""
    typer.echo(_run(_pull(_client(address, config), reference)))


@image_app.command("import")
def import_archive(
    archive: Annotated[Path, typer.Argument(help="OCI or docker archive, maybe compressed.", exists=True)],
    name: Annotated[str, typer.Option(help="Name for an archive with one image.")] = "",
    address: Address = None,
    config: ConfigFile = None,
) -> None:
    """Import the images of an archive on this machine."""
    for image in _run(_client(address, config).load(archive.resolve(), name)):
        typer.echo(f"{image.id} {' '.join(image.names)}".rstrip())


@image_app.command("ls")
def list_images(address: Address = None, config: ConfigFile = None) -> None:
    """List images."""
    found = _run(_client(address, config).list())
    table = Table("IMAGE", "ID", "SIZE", box=None)
    for row in sorted((name, _short(image), _size(image.size)) for image in found for name in image.names or ("-",)):
        table.add_row(*row)
    Console().print(table)


@image_app.command("rm")
def remove(
    references: Annotated[list[str], typer.Argument(help="Names or ids; each removes its image with all its names.")],
    address: Address = None,
    config: ConfigFile = None,
) -> None:
    """Remove images."""
    client = _client(address, config)
    for reference in references:
        _run(client.remove(reference))


async def _pull(client: ImageClient, reference: str) -> str:
    """Show the events of a pull as bars; the id in the end."""
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TextColumn("{task.fields[stage]}"))
    image_id = ""
    with Progress(*columns, console=Console(stderr=True)) as progress:
        bars: dict[str, TaskID] = {}
        async for event in client.pull(reference):
            image_id = event.image_id or image_id
            _draw(progress, bars, event)
    return image_id


def _draw(progress: Progress, bars: dict[str, TaskID], event: PullView) -> None:
    for layer in event.layers:
        if layer.digest not in bars:
            label = layer.digest.partition(":")[2][:_ID_DIGITS]
            bars[layer.digest] = progress.add_task(label, total=layer.size, stage=layer.stage)
        offset = layer.size if layer.stage == _DONE else layer.offset
        progress.update(bars[layer.digest], completed=offset, stage=layer.stage)
    if event.image_id:
        for bar in bars.values():
            progress.update(bar, completed=progress.tasks[bar].total or 0, stage=_DONE)


def _client(address: Path | None, config: Path | None) -> ImageClient:
    # Imported here: gRPC takes longer to load than other commands to run.
    from crishim.rpc.image_client import ImageClient  # noqa: PLC0415

    return ImageClient(server_address(address, config))


def _run(work: Coroutine[Any, Any, T]) -> T:
    try:
        return asyncio.run(work)
    except CrishimError as error:
        fail(error)


def _short(image: ImageView) -> str:
    return image.id.partition(":")[2][:_ID_DIGITS]


def _size(size: int) -> str:
    """As people read it: three digits and a unit of a thousand."""
    value, units = float(size), ["B", "kB", "MB", "GB", "TB"]
    while value >= 1000 and len(units) > 1:
        value, units = value / 1000, units[1:]
    return f"{value:.3g} {units[0]}"
