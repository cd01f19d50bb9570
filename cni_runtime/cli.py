"""``cni-runtime``: runs one operation on one network, with the arguments and environment that cnitool takes."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Callable, Coroutine, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import anyio
import msgspec
import typer
from msgspec import Struct

from cni_runtime import launchers, names
from cni_runtime.cache import DEFAULT_DIR
from cni_runtime.conf.discovery import find_network
from cni_runtime.conf.types import NetworkList
from cni_runtime.errors import CniError, ErrorCode
from cni_runtime.invoke.executable import ExecutableInvoker
from cni_runtime.runtime import Attachment, CniRuntime
from cni_runtime.versions import CURRENT

DEFAULT_NETCONFPATH = "/etc/cni/net.d"
DEFAULT_CNI_PATH = "/opt/cni/bin:/usr/lib/cni"

_HELP = """Attach a network namespace to a CNI network, check it, detach it.

Environment: CNI_PATH (directories of plugins), NETCONFPATH (directory of configurations), CNI_IFNAME (default eth0),
CNI_ARGS (K=V;K=V), CAP_ARGS (capability arguments, a JSON object).
"""

app = typer.Typer(help=_HELP, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


class Operation(StrEnum):
    """What can be asked for."""

    ADD = "add"
    DEL = "del"
    CHECK = "check"
    GC = "gc"
    STATUS = "status"


class Environment(Struct, frozen=True):
    """What the environment says; see the help text."""

    plugin_path: tuple[Path, ...]
    conf_dir: Path
    ifname: str
    args: tuple[tuple[str, str], ...]
    capability_args: dict[str, Any]


def read_environment(environ: Mapping[str, str]) -> Environment:
    """The environment as a value; raises CniError (INVALID_ENVIRONMENT)."""
    plugin_path = environ.get("CNI_PATH") or DEFAULT_CNI_PATH
    args = names.parse_args(environ.get("CNI_ARGS", ""))
    empty = [key for key, value in args if not value]
    if empty:  # which cnitool takes for a mistake
        message = f"CNI_ARGS: expected a value for {', '.join(empty)}"
        raise CniError(message, code=ErrorCode.INVALID_ENVIRONMENT)
    return Environment(
        plugin_path=tuple(Path(entry) for entry in plugin_path.split(":") if entry),
        conf_dir=Path(environ.get("NETCONFPATH") or DEFAULT_NETCONFPATH),
        ifname=environ.get("CNI_IFNAME", "eth0"),
        args=args,
        capability_args=_object(environ.get("CAP_ARGS") or "{}"),
    )


def container_id(netns: str) -> str:
    """The container ID for the namespace at an absolute path: the one that cnitool gives it."""
    return f"cnitool-{hashlib.sha512(netns.encode(errors='surrogateescape')).hexdigest()[:20]}"


async def perform(operation: Operation, runtime: CniRuntime, network: NetworkList, attachment: Attachment) -> str:
    """Do ``operation``; returns what to print. Raises CniError."""
    if operation is Operation.ADD:
        added = await runtime.add(network, attachment)
        return json.dumps(added.raw, indent=4) + "\n"
    others: dict[Operation, Callable[[], Coroutine[Any, Any, object]]] = {
        Operation.DEL: lambda: runtime.delete(network, attachment),
        Operation.CHECK: lambda: runtime.check(network, attachment),
        Operation.GC: lambda: runtime.gc(network, ()),
        Operation.STATUS: lambda: runtime.status(network),
    }
    await others[operation]()
    return ""


_Network = Annotated[str, typer.Argument(help="Name of the network, as its configuration has it.")]
_Netns = Annotated[Path, typer.Argument(help="Path of the network namespace.")]
_CacheDir = Annotated[Path, typer.Option(help="Where results are kept between ADD and DEL.")]


@app.command()
def add(network: _Network, netns: _Netns, cache_dir: _CacheDir = DEFAULT_DIR) -> None:
    """Attach NETNS to NETWORK and print the result."""
    _main(Operation.ADD, network, netns, cache_dir)


@app.command(name="del")
def delete(network: _Network, netns: _Netns, cache_dir: _CacheDir = DEFAULT_DIR) -> None:
    """Detach NETNS from NETWORK."""
    _main(Operation.DEL, network, netns, cache_dir)


@app.command()
def check(network: _Network, netns: _Netns, cache_dir: _CacheDir = DEFAULT_DIR) -> None:
    """Check that the attachment is as ADD left it."""
    _main(Operation.CHECK, network, netns, cache_dir)


@app.command()
def gc(network: _Network, netns: _Netns = Path("/"), cache_dir: _CacheDir = DEFAULT_DIR) -> None:
    """Remove every attachment of NETWORK, whoever made it."""
    _main(Operation.GC, network, netns, cache_dir)


@app.command()
def status(network: _Network, netns: _Netns = Path("/"), cache_dir: _CacheDir = DEFAULT_DIR) -> None:
    """Ask whether NETWORK can attach containers now."""
    _main(Operation.STATUS, network, netns, cache_dir)


@app.command()
def install_plugins(
    directory: Annotated[Path, typer.Argument(help="Where a container runtime looks for plugins, say /opt/cni/bin.")],
    *,
    force: Annotated[bool, typer.Option("--force", help="Replace files that other programs put there.")] = False,
    uninstall: Annotated[bool, typer.Option("--uninstall", help="Delete the launchers, and nothing else.")] = False,
) -> None:
    """Put a launcher for each built-in plugin into DIRECTORY, for other container runtimes to run."""
    try:
        done = launchers.uninstall(directory) if uninstall else launchers.install(directory, force=force)
    except (CniError, OSError) as exc:
        typer.echo(f"error: {exc}", err=True)
        raise typer.Exit(1) from exc
    for path in done:
        typer.echo(f"{'deleted' if uninstall else 'written'}: {path}")


def main() -> None:
    """Entry point."""
    logging.basicConfig(format="%(levelname)s: %(message)s")
    app()


def _main(operation: Operation, name: str, netns: Path, cache_dir: Path) -> None:
    version = CURRENT
    try:
        env = read_environment(os.environ)
        network = find_network(env.conf_dir, name)
        version = network.cni_version
        runtime = CniRuntime(ExecutableInvoker(), path=env.plugin_path, cache_dir=cache_dir)
        output = anyio.run(perform, operation, runtime, network, _attachment(env, netns))
    except CniError as exc:
        output, code = json.dumps(exc.to_json(version), indent=4) + "\n", 1
    else:
        code = 0
    typer.echo(output, nl=False)
    raise typer.Exit(code)


def _attachment(env: Environment, netns: Path) -> Attachment:
    path = str(Path(os.path.normpath(netns.absolute())))
    return Attachment(
        container_id=container_id(path),
        netns=path,
        ifname=env.ifname,
        args=env.args,
        capability_args=env.capability_args,
    )


def _object(text: str) -> dict[str, Any]:
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except (ValueError, RecursionError) as exc:
        message = "invalid CAP_ARGS, expected a JSON object"
        raise CniError(message, code=ErrorCode.INVALID_ENVIRONMENT, details=str(exc)) from exc
