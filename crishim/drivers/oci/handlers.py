"""Runtime handlers: which program runs the containers of a handler, and what that program can do.

Each program is asked once, at the start of the server.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec
import structlog
from msgspec import Struct

from crishim.core.config.types import RuntimeHandler
from crishim.core.errors import CrishimError, UnavailableError, explain
from crishim.drivers.process.command import run
from crishim.drivers.process.programs import find_program, program_path

_log = structlog.get_logger()

PROBE_SECONDS = 10.0
_CHOICE = ("crun", "runc")  # crun takes a third of the time


class Features(Struct, frozen=True):
    """What an OCI runtime says it can do: mounts that are read-only with all below them, and id-mapped mounts.

    ``user_namespaces``: those too, which CRI has only with id-mapped mounts.
    """

    recursive_read_only_mounts: bool = False
    id_mapped_mounts: bool = False
    user_namespaces: bool = False


class Handler(Struct, frozen=True, kw_only=True):
    """One runtime handler. ``systemd_cgroup``: systemd makes the control groups."""

    name: str
    program: Path
    systemd_cgroup: bool = False
    features: Features = Features()


class Handlers:
    """The configured handlers by name; ``problems`` has the reason for each one that cannot be used."""

    def __init__(self, handlers: Mapping[str, Handler], problems: Mapping[str, str]) -> None:
        self.usable, self.problems = handlers, problems

    def get(self, name: str) -> Handler:
        """The handler of this name; raises UnavailableError with the reason when it cannot be used."""
        if name in self.usable:
            return self.usable[name]
        reason = self.problems.get(name, "it is not configured any more")
        raise UnavailableError(f"runtime handler {name!r} cannot be used: {reason}")


async def probe(configured: Mapping[str, RuntimeHandler], *, systemd: bool = False) -> Handlers:
    """Find and ask the program of each handler. ``systemd``: it manages this node, so handlers may use it."""
    usable: dict[str, Handler] = {}
    problems: dict[str, str] = {}
    asked: dict[Path, Features] = {}
    for name, config in configured.items():
        try:
            program = find_program(config.binary_name) if config.binary_name else find_program(*_CHOICE)
            features = asked[program] = asked.get(program) or await ask(program)
        except CrishimError as error:
            problems[name] = explain(error)
            _log.warning("runtime.handler_unusable", handler=name, error=problems[name])
        else:
            systemd_cgroup = systemd and config.systemd_cgroup
            usable[name] = Handler(name=name, program=program, systemd_cgroup=systemd_cgroup, features=features)
    return Handlers(usable, problems)


async def ask(program: Path) -> Features:
    """What an OCI runtime can do. Raises a CrishimError when it does not even tell its version."""
    env = {"PATH": program_path()}
    features = await run((str(program), "features"), env=env, seconds=PROBE_SECONDS)
    if features.status == 0:
        return parse_features(features.stdout)
    version = await run((str(program), "--version"), env=env, seconds=PROBE_SECONDS)
    if version.status != 0:
        raise UnavailableError(f"{program} --version ended with {version.status}")
    return Features()  # older ones have no such command, and nothing that it would tell


def parse_features(answer: bytes) -> Features:
    """What the ``features`` command prints; see features.md of the OCI runtime specification."""
    try:
        stated = msgspec.json.decode(answer, type=_Stated)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise UnavailableError(f"its answer to the features command was not understood: {error}") from error
    id_mapped = stated.linux.mount_extensions.idmap.enabled is True
    return Features("rro" in stated.mount_options, id_mapped, id_mapped and "user" in stated.linux.namespaces)


class _IdMap(Struct, frozen=True):
    enabled: bool | None = None


class _MountExtensions(Struct, frozen=True):
    idmap: _IdMap = _IdMap()


class _Linux(Struct, frozen=True, rename="camel"):
    namespaces: tuple[str, ...] = ()
    mount_extensions: _MountExtensions = _MountExtensions()


class _Stated(Struct, frozen=True, rename="camel"):
    mount_options: tuple[str, ...] = ()
    linux: _Linux = _Linux()
