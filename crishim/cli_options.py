"""What the commands for people have in common: options, and an end that says what is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, NoReturn

import typer

from crishim.core.config import DEFAULT_PATH, Loaded, load_config
from crishim.core.errors import CrishimError

ConfigFile = Annotated[
    Path | None, typer.Option("--config", "-c", help=f"Configuration file (default {DEFAULT_PATH}).")
]
Address = Annotated[Path | None, typer.Option(help="Unix socket of the server.")]


def loaded(config: Path | None) -> Loaded:
    """The configuration; ends the command when it cannot be used."""
    try:
        return load_config(config, {})
    except CrishimError as error:
        fail(error)


def server_address(address: Path | None, config: Path | None) -> Path:
    """The socket of the server: ``address``, or that of the configuration."""
    return address or loaded(config).config.address


def fail(error: CrishimError) -> NoReturn:
    """End the command with ``error``."""
    typer.echo(f"crishim: {error}", err=True)
    raise typer.Exit(1)
