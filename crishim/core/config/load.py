"""From a file and the flags of the command line to a configuration."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from crishim.core.config.check import Place, check_table
from crishim.core.config.read import SECTIONS, Document, Part, parts, read_documents
from crishim.core.config.resolve import resolve
from crishim.core.config.tables import Tables
from crishim.core.config.types import DEFAULT_PATH, Config, Loaded
from crishim.core.errors import ConfigError


def load_config(path: Path | None = None, overrides: Mapping[str, str] | None = None) -> Loaded:
    """Read ``path`` and what it imports; ``overrides`` are keys of ``[crishim]`` that win over the files.

    ``path`` None is /etc/crishim/config.toml, and the defaults when that does not exist. Later files win over
    earlier ones: tables are merged, every other value is replaced. Raises ConfigError.
    """
    warnings: list[str] = []
    if path is None and _is_absent(DEFAULT_PATH):
        documents = [Document(DEFAULT_PATH, {}, 3)]
        files: tuple[Path, ...] = ()
    else:
        documents = read_documents(path or DEFAULT_PATH, warnings)
        files = tuple(document.path for document in documents)
    found = [part for document in documents for part in parts(document, warnings)]
    found.append(Part("crishim", Place("command line"), dict(overrides or {})))
    config = resolve(_tables(found, warnings), documents[0])
    return Loaded(config, tuple(warnings), files)


def _is_absent(path: Path) -> bool:
    try:
        path.stat()
    except OSError as error:
        return isinstance(error, FileNotFoundError)
    return False


def _tables(found: Iterable[Part], warnings: list[str]) -> Tables:
    merged: dict[str, Any] = {}
    for part in found:
        try:
            table = check_table(SECTIONS[part.section], part.table, part.place, warnings)
            merged[part.section] = _merge(merged.get(part.section, {}), table)
        except RecursionError:
            raise ConfigError(f"{part.place}: nested too deeply") from None
    return msgspec.convert(merged, Tables)


def _merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for name, value in above.items():
        old = merged.get(name)
        merged[name] = _merge(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return merged


def effective(config: Config) -> dict[str, Any]:
    """The configuration as an object that JSON can carry; durations are seconds, paths strings; no secrets."""
    values: dict[str, Any] = msgspec.to_builtins(config, enc_hook=str)
    values["images"]["auths"] = sorted(config.images.auths)
    # What tools made for containerd look for, to find the file system that root file systems are on.
    return values | {"rootDir": values["root"], "stateDir": values["state"]}
