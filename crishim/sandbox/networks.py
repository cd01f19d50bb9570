"""The networks a new pod gets: from the watched configuration directory of its runtime handler."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from cni_runtime.conf.types import ConfDir, NetworkList
from crishim.core.errors import UnavailableError


class WatchedDirectory(Protocol):
    """A configuration directory that is being watched."""

    @property
    def snapshot(self) -> ConfDir:
        """What it holds now."""
        ...


class ConfiguredNetworks:
    """Looks up networks by runtime handler; a handler without a directory of its own uses the default one."""

    def __init__(self, default: WatchedDirectory, by_handler: Mapping[str, WatchedDirectory]) -> None:
        self._default, self._by_handler = default, by_handler

    def current(self, runtime_handler: str) -> tuple[NetworkList, ...]:
        """The networks, the default one first. Raises UnavailableError saying why there are none."""
        snapshot = self._by_handler.get(runtime_handler, self._default).snapshot
        if problem := snapshot.problem():
            raise UnavailableError(f"cni plugin not initialized: {problem}")
        return snapshot.networks
