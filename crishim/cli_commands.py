"""The commands for people: ``crishim config default|check``, ``crishim explain``, ``crishim image``."""

from __future__ import annotations

import asyncio
import json
from typing import Annotated

import msgspec
import typer
from rich.console import Console

from crishim import __version__
from crishim.cli_image import image_app
from crishim.cli_options import Address, ConfigFile, fail, loaded, server_address
from crishim.cli_serve import serve_cri
from crishim.core.config import default_toml
from crishim.core.errors import CrishimError

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False)
config_app = typer.Typer(no_args_is_help=True, help="Show and check the configuration.")
app.add_typer(config_app, name="config")
app.add_typer(image_app, name="image")


def _tell_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"crishim {__version__}")
        raise typer.Exit


@app.callback()
def crishim(
    version: Annotated[bool, typer.Option("--version", callback=_tell_version, is_eager=True, help="Show it.")] = False,
) -> None:
    """A Kubernetes container runtime service."""


@app.command(add_help_option=False, context_settings={"ignore_unknown_options": True})
def serve(options: Annotated[list[str] | None, typer.Argument(help="See crishim serve --help.")] = None) -> None:
    """Serve the Container Runtime Interface until SIGTERM."""
    raise typer.Exit(serve_cri(options or []))


@app.command()
def explain(
    pod: Annotated[str, typer.Argument(help="Sandbox id, a beginning of it, or a pod's name.")],
    address: Address = None,
    config: ConfigFile = None,
    as_json: Annotated[bool, typer.Option("--json", help="Facts as JSON instead of a picture.")] = False,
) -> None:
    """Show how a pod got its IP: plugins, veth pair, bridge, routes, IPAM file."""
    # Imported here: gRPC takes longer to load than other commands to run.
    from crishim.explain.picture import picture  # noqa: PLC0415
    from crishim.explain.source import explain_pod  # noqa: PLC0415

    try:
        facts = asyncio.run(explain_pod(server_address(address, config), pod))
    except CrishimError as error:
        fail(error)
    if as_json:
        typer.echo(json.dumps(msgspec.to_builtins(facts), indent=2))
    else:
        Console().print(picture(facts))


@config_app.command("default")
def config_default() -> None:
    """Print the default configuration, with comments."""
    typer.echo(default_toml(), nl=False)


@config_app.command("check")
def config_check(config: ConfigFile = None) -> None:
    """Load a configuration and print every warning; ends with 1 when it cannot be used."""
    found = loaded(config)
    for warning in found.warnings:
        typer.echo(f"warning: {warning}")
    read = ", ".join(map(str, found.files)) or "no file; the defaults"
    typer.echo(f"ok: {read}")
