"""Device descriptions of the Container Device Interface, found on the node.

Source: Container Device Interface specification 1.1.0. A description in a later directory wins over an earlier one;
a device that two files of one directory describe is not usable.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from crishim.core.errors import InvalidArgumentError
from crishim.drivers import threads
from crishim.drivers.devices import read_device

DIRECTORIES = (Path("/etc/cdi"), Path("/var/run/cdi"))

_VERSION = re.compile(r"0\.[3-8]\.0|1\.[01]\.0")
_KIND = re.compile(r"[A-Za-z][\w.-]*/[A-Za-z][\w.-]*", re.ASCII)
_HookName = Literal["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"]


class CdiDeviceNode(Struct, frozen=True, rename="camel"):
    """A device to make in the container; what it lacks is that of the node's device at ``host_path`` or ``path``."""

    path: str
    host_path: str = ""
    type: str = ""
    major: int = 0
    minor: int = 0
    file_mode: int | None = None
    permissions: str = ""
    uid: int | None = None
    gid: int | None = None


class CdiMount(Struct, frozen=True, rename="camel"):
    """A path of the node to be seen in the container."""

    host_path: str
    container_path: str
    options: tuple[str, ...] = ()
    type: str = ""


class CdiHook(Struct, frozen=True, rename="camel"):
    """A program that the OCI runtime runs at a point of the container's life."""

    hook_name: _HookName
    path: str
    args: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    timeout: int | None = None


class ContainerEdits(Struct, frozen=True, rename="camel"):
    """What a device changes in the configuration of a container."""

    env: tuple[str, ...] = ()
    device_nodes: tuple[CdiDeviceNode, ...] = ()
    mounts: tuple[CdiMount, ...] = ()
    hooks: tuple[CdiHook, ...] = ()
    additional_gids: tuple[int, ...] = ()
    intel_rdt: Mapping[str, Any] | None = None
    net_devices: tuple[Mapping[str, Any], ...] = ()


class _Device(Struct, frozen=True, rename="camel"):
    name: str
    container_edits: ContainerEdits


class _Description(Struct, frozen=True, rename="camel"):
    cdi_version: str
    kind: str
    devices: tuple[_Device, ...]
    container_edits: ContainerEdits = ContainerEdits()


class _Found(Struct, frozen=True):
    """Where a device is described, and how; None when two files of that directory describe it."""

    file: Path
    common: ContainerEdits
    own: ContainerEdits | None


async def cdi_edits(names: Iterable[str], directories: Sequence[Path] = DIRECTORIES) -> tuple[ContainerEdits, ...]:
    """The edits of the devices with these qualified names, each file's common ones before those of its devices.

    The files are read anew each time, as device plugins write them while the server runs. Raises
    InvalidArgumentError that names the devices nobody describes, and the files that could not be understood.
    """
    wanted = tuple(names)
    return await threads.run(_edits, wanted, tuple(directories)) if wanted else ()


def _edits(names: tuple[str, ...], directories: tuple[Path, ...]) -> tuple[ContainerEdits, ...]:
    found, problems = _scan(directories)
    unknown = [name for name in names if name not in found or found[name].own is None]
    if unknown:
        searched = ", ".join(map(str, directories))
        message = f"CDI devices {', '.join(unknown)}: not described, or more than once, in {searched}"
        raise InvalidArgumentError("; ".join([message, *problems]))
    edits: list[ContainerEdits] = []
    for file in dict.fromkeys(found[name].file for name in names):
        of_file = [found[name] for name in names if found[name].file == file]
        edits += [of_file[0].common, *(each.own for each in of_file if each.own)]
    return tuple(_completed(each) for each in edits)


def _scan(directories: tuple[Path, ...]) -> tuple[dict[str, _Found], list[str]]:
    found: dict[str, _Found] = {}
    problems: list[str] = []
    for directory in directories:
        here: dict[str, _Found] = {}
        for file in _files(directory):
            try:
                description = _read(file)
            except (OSError, ValueError, ImportError) as error:
                problems.append(f"{file}: {error}")
                continue
            for device in description.devices:
                name = f"{description.kind}={device.name}"
                own = None if name in here else device.container_edits
                here[name] = _Found(file, description.container_edits, own)
        found |= here
    return found, problems


def _files(directory: Path) -> list[Path]:
    try:
        return sorted(file for file in directory.iterdir() if file.suffix in (".json", ".yaml"))
    except OSError:  # a node without devices has no such directory
        return []


def _read(file: Path) -> _Description:
    data = file.read_bytes()
    decode = msgspec.json.decode if file.suffix == ".json" else msgspec.yaml.decode
    description = decode(data, type=_Description)
    if not _VERSION.fullmatch(description.cdi_version):
        raise ValueError(f"cdiVersion {description.cdi_version!r} is not known")
    if not _KIND.fullmatch(description.kind):
        raise ValueError(f"kind {description.kind!r}: expected vendor/class")
    return description


def _completed(edits: ContainerEdits) -> ContainerEdits:
    if edits.net_devices:
        raise InvalidArgumentError("CDI netDevices: moving network devices is not supported")
    return replace(edits, device_nodes=tuple(map(_complete_node, edits.device_nodes)))


def _complete_node(node: CdiDeviceNode) -> CdiDeviceNode:
    """Fill in what the description leaves to the node; one that says enough may be of a device that is not there."""
    is_enough = node.type == "p" or bool(node.type and node.major)
    path = node.host_path or node.path
    try:
        device = read_device(path)
    except OSError as error:
        if is_enough:
            return node
        raise InvalidArgumentError(f"CDI device {path}: {error.strerror}") from error
    if device is None:
        raise InvalidArgumentError(f"CDI device {path}: is not a device")
    node = replace(node, file_mode=device.mode if node.file_mode is None else node.file_mode)
    if is_enough:
        return node
    if node.type not in ("", device.kind):
        raise InvalidArgumentError(f"CDI device {path}: expected type {node.type}, found {device.kind}")
    return replace(node, type=device.kind, major=device.major, minor=device.minor)
