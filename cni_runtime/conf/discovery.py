"""Network configurations in a directory: which files count, in which order, and what is wrong with the others.

Source: the conventions that container runtimes share: files in name order, the first network is the default one.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from cni_runtime import files
from cni_runtime.conf.parse import (
    MAX_BYTES,
    parse_outline,
    parse_plugin,
    parse_single,
    require_plugins,
    with_plugins,
)
from cni_runtime.conf.types import ConfDir, NetworkList, PluginConf, SkippedFile
from cni_runtime.errors import ConfigError

LIST_SUFFIX = ".conflist"
SUFFIXES = (".conf", LIST_SUFFIX, ".json")


def load_conf_dir(directory: Path, max_num: int = 0) -> ConfDir:
    """The networks in ``directory`` in file-name order, at most ``max_num`` of them (0 or less: all).

    A file that is not valid is skipped and reported, never fatal; so is a directory that cannot be read.
    """
    networks: list[NetworkList] = []
    skipped: list[SkippedFile] = []
    try:
        paths = conf_files(directory)
    except ConfigError as exc:
        return ConfDir(directory=directory, skipped=(SkippedFile(directory, exc),))
    for path in paths:
        if len(networks) == max_num > 0:
            break
        try:
            networks.append(load_file(path))
        except ConfigError as exc:
            skipped.append(SkippedFile(path, exc))
    return ConfDir(directory=directory, networks=tuple(networks), skipped=tuple(skipped))


def find_network(directory: Path, name: str) -> NetworkList:
    """The network called ``name``; a list wins over a single configuration. Raises ConfigError."""
    found = load_conf_dir(directory)
    matching = [network for network in found.networks if network.name == name]
    if matching:
        return min(matching, key=lambda network: not network.source.endswith(LIST_SUFFIX))
    reasons = "; ".join(str(skipped.error) for skipped in found.skipped)
    raise ConfigError(f"no network called {name!r} in {directory}", details=reasons)


def conf_files(directory: Path, suffixes: Iterable[str] = SUFFIXES) -> list[Path]:
    """The files of ``directory`` that hold configurations, in name order; none when it does not exist.

    Raises ConfigError when it cannot be read.
    """
    endings = tuple(suffixes)
    try:
        return sorted(path for path in directory.iterdir() if path.name.endswith(endings) and not path.is_dir())
    except FileNotFoundError:
        return []
    except OSError as exc:
        raise ConfigError(f"cannot read directory {directory}", details=str(exc)) from exc


def load_file(path: Path) -> NetworkList:
    """The network in one file, and for a list the plugins in the directory named after it. Raises ConfigError."""
    data = _read(path)
    if path.name.endswith(LIST_SUFFIX):
        network = parse_outline(data, str(path))
        return require_plugins(with_plugins(network, _plugin_files(path.parent, network)))
    return parse_single(data, str(path))


def _plugin_files(directory: Path, network: NetworkList) -> list[PluginConf]:
    if network.load_only_inlined:
        return []
    return [parse_plugin(_read(path), str(path)) for path in conf_files(directory / network.name, [".conf"])]


def _read(path: Path) -> bytes:
    try:
        return files.read_regular(path, MAX_BYTES)
    except OSError as exc:
        raise ConfigError(f"cannot read {path}", details=str(exc)) from exc
