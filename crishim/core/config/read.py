"""Reads the files of a configuration and finds in them the tables that are crishim's business.

Configuration versions 2 (containerd 1.x), 3 and 4 (containerd 2.x) are read. Version 3 splits the one CRI
table of version 2 into three; version 4 has the same three. containerd's own keys (``root``, ``state``,
``[grpc]`` and the other plugins' tables) are passed over: they are another program's.
"""

from __future__ import annotations

import glob
import os
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct

from crishim.core.config.check import Place, keys_of, shown, wrong
from crishim.core.config.tables import CrishimTable, ImagesTable, RuntimeTable, ServerTable
from crishim.core.errors import ConfigError

MAX_BYTES = 1 << 20

_SERVER = "io.containerd.grpc.v1.cri"
_RUNTIME = "io.containerd.cri.v1.runtime"
_IMAGES = "io.containerd.cri.v1.images"
_CRI_TABLES = ("cri", _SERVER, _RUNTIME, _IMAGES)
_VERSIONS = (2, 3, 4)

_OUR_TOP_LEVEL = ("version", "imports", "plugins", "crishim")
_CONTAINERD_TOP_LEVEL = (
    "root",
    "state",
    "temp",
    "debug",
    "grpc",
    "ttrpc",
    "metrics",
    "cgroup",
    "timeouts",
    "oom_score",
    "plugin_dir",
    "disabled_plugins",
    "required_plugins",
    "proxy_plugins",
    "stream_processors",
)
_IMAGE_KEYS_IN_CONTAINERD = ("snapshotter", "disable_snapshot_annotations", "discard_unpacked_layers")

SECTIONS: Mapping[str, type[Struct]] = {
    "runtime": RuntimeTable,
    "images": ImagesTable,
    "server": ServerTable,
    "crishim": CrishimTable,
}


class Document(Struct, frozen=True):
    """One file, parsed; ``version`` 1 stands for a file that does not say."""

    path: Path
    tree: Mapping[str, Any]
    version: int

    def place(self, section: str) -> Place:
        """Where this file has the table of a section."""
        if section == "crishim":
            return Place(str(self.path), ("crishim",))
        names = {"runtime": _RUNTIME, "images": _IMAGES} if self.version > 2 else {}
        return Place(str(self.path), ("plugins", names.get(section, _SERVER)))


class Part(Struct, frozen=True):
    """A table, or some keys of one, that belongs to a section."""

    section: str
    place: Place
    table: object


def read_documents(path: Path, warnings: list[str]) -> list[Document]:
    """The file and, after it, all that it imports, as containerd orders them; each file once."""
    documents: list[Document] = []
    pending = [(path, 1)]
    seen: set[str] = set()
    while pending:
        current, inherited = pending.pop(0)
        if os.path.realpath(current) in seen:
            continue
        seen.add(os.path.realpath(current))
        document = _document(current, inherited)
        documents.append(document)
        pending += [(imported, document.version) for imported in _imports(document, warnings)]
    return documents


def _document(path: Path, inherited: int) -> Document:
    tree = read_toml(path)
    place = Place(str(path))
    version = tree.get("version", inherited)
    if not isinstance(version, int) or isinstance(version, bool) or version not in (1, *_VERSIONS):
        raise wrong(place.at("version"), version, "2, 3 or 4")
    plugins = tree.get("plugins", {})
    if not isinstance(plugins, dict):
        raise wrong(place.at("plugins"), plugins, "a table")
    found = next((name for name in _CRI_TABLES if name in plugins), None)
    if version == 1 and found is not None:
        said = shown(version) if "version" in tree else "no version, which means 1,"
        table = place.at("plugins", found).dotted
        raise ConfigError(f"{place.at('version')}: found {said} in a file with {table}, expected 2, 3 or 4")
    return Document(path, tree, version)


def read_toml(path: Path) -> dict[str, Any]:
    """The file as TOML; raises ConfigError with the file, and line and column where there are any."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    if len(data) > MAX_BYTES:
        raise ConfigError(f"{path}: found more than {MAX_BYTES} bytes, expected a configuration file")
    try:
        return tomllib.loads(data.decode())
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        column = error.start - data.rfind(b"\n", 0, error.start)
        raise ConfigError(f"{path}: not UTF-8 (at line {line}, column {column})") from error
    except RecursionError:
        raise ConfigError(f"{path}: not valid TOML: nested too deeply") from None
    except ValueError as error:
        lines = data.decode().split("\n")
        end = f"at line {len(lines)}, column {len(lines[-1]) + 1}"
        message = str(error).replace("at end of document", end)
        raise ConfigError(f"{path}: not valid TOML: {message}") from error


def _imports(document: Document, warnings: list[str]) -> Iterator[Path]:
    place = Place(str(document.path), ("imports",))
    patterns = document.tree.get("imports", [])
    if not isinstance(patterns, list) or not all(isinstance(item, str) and "\0" not in item for item in patterns):
        raise wrong(place, patterns, "a list of paths")
    for pattern in patterns:
        path = document.path.parent / pattern
        matches = sorted(glob.glob(str(path)))  # noqa: PTH207 - the pattern may be absolute
        if not matches and "*" not in pattern:
            warnings.append(f"{place}: {path} does not exist")
        yield from map(Path, matches)


def parts(document: Document, warnings: list[str]) -> Iterator[Part]:
    """The tables of this file that are crishim's business; names that look like a mistake go to ``warnings``."""
    top, plugins = Place(str(document.path)), document.tree.get("plugins", {})
    warnings += [
        f"{top.at(name)}: unknown key, ignored"
        for name in document.tree
        if name not in (*_OUR_TOP_LEVEL, *_CONTAINERD_TOP_LEVEL)
    ]
    if "crishim" in document.tree:
        yield Part("crishim", document.place("crishim"), document.tree["crishim"])
    for name, table in plugins.items():
        place = top.at("plugins", name)
        if name == _SERVER:
            yield from _parts_of_v2(place, table) if document.version == 2 else _server_part(document, table, warnings)
        elif document.version > 2 and name in (_RUNTIME, _IMAGES):
            yield Part("runtime" if name == _RUNTIME else "images", place, table)
        elif _is_misplaced(name):
            warnings.append(f"{place}: unknown table in version {document.version}, ignored")


def _is_misplaced(plugin: str) -> bool:
    """Whether it cannot be the table of another plugin of containerd's, and so is a mistake."""
    return not plugin.startswith("io.containerd.") or plugin.startswith("io.containerd.cri.")


def _parts_of_v2(place: Place, table: object) -> Iterator[Part]:
    """Version 2 has one table for what later versions keep in three."""
    if not isinstance(table, dict):
        raise wrong(place, table, "a table")
    rest = dict(table)
    yield Part("server", place, _take(rest, keys_of(ServerTable)))
    yield Part("images", place, _take(rest, keys_of(ImagesTable).keys() - _IMAGE_KEYS_IN_CONTAINERD))
    if isinstance(rest.get("containerd"), dict):
        rest["containerd"] = dict(rest["containerd"])
        yield Part("images", place.at("containerd"), _take(rest["containerd"], _IMAGE_KEYS_IN_CONTAINERD))
    yield Part("runtime", place, rest)


def _take(table: dict[str, Any], names: Any) -> dict[str, Any]:
    return {name: table.pop(name) for name in list(table) if name in names}


def _server_part(document: Document, table: object, warnings: list[str]) -> Iterator[Part]:
    """Since version 3 most keys of this table belong elsewhere: say where."""
    place = document.place("server")
    if not isinstance(table, dict):
        raise wrong(place, table, "a table")
    rest = dict(table)
    for section in ("runtime", "images"):
        for name in _take(rest, keys_of(SECTIONS[section])):
            home = document.place(section).at(name).keys
            warnings.append(f"{place.at(name)}: ignored; in version {document.version} it is {Place('', home).dotted}")
    yield Part("server", place, rest)
