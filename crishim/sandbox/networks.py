"""The networks a new pod gets: from the watched configuration directory of its runtime handler."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from cni_runtime.conf.types import NetworkList
from crishim.core.errors import UnavailableError


class Snapshot(Protocol):
    """What a configuration directory holds now."""

    @property
    def networks(self) -> tuple[NetworkList, ...]:
        """The networks in force, in file-name order."""
        ...

    @property
    def errors(self) -> Mapping[str, str]:
        """Why a file is not used, by file."""
        ...


class WatchedDirectory(Protocol):
    """A configuration directory that is being watched."""

    @property
    def directory(self) -> str: ...

    @property
    def snapshot(self) -> Snapshot: ...


class ConfiguredNetworks:
    """Looks up networks by runtime handler; a handler without a directory of its own uses the default one."""

    def __init__(self, default: WatchedDirectory, by_handler: Mapping[str, WatchedDirectory]) -> None:
        self._default, self._by_handler = default, by_handler

    def current(self, runtime_handler: str) -> tuple[NetworkList, ...]:
        """The networks, the default one first. Raises UnavailableError saying why there are none."""
        watched = self._by_handler.get(runtime_handler, self._default)
        if not watched.snapshot.networks:
            raise UnavailableError(f"cni plugin not initialized: {why_empty(watched)}")
        return watched.snapshot.networks

    def default(self) -> WatchedDirectory:
        """The directory of handlers that have none of their own; the node's network state is judged by it."""
        return self._default


def why_empty(watched: WatchedDirectory) -> str:
    """One line that says what an operator has to look at."""
    problems = [f"{name}: {problem}" for name, problem in watched.snapshot.errors.items()]
    return "; ".join(problems) or f"no network config found in {watched.directory}"
