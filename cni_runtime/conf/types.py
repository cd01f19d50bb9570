"""Network configurations as validated, frozen values.

Source: CNI specification 1.1.0, section 1 "Network configuration format".
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct

from cni_runtime.errors import ConfigError


class PluginConf(Struct, frozen=True):
    """One plugin of a chain: ``raw`` is its whole object, ``capabilities`` the declared ones that are true."""

    type: str
    raw: Mapping[str, Any]
    capabilities: frozenset[str] = frozenset()


class NetworkList(Struct, frozen=True, kw_only=True):
    """A network and its plugins, in ADD order.

    ``cni_version`` is the version chosen out of what the configuration offers. ``source`` names the file,
    ``raw`` is JSON text of the whole list: parsing it again gives the same network, without any other file.
    """

    name: str
    cni_version: str
    plugins: tuple[PluginConf, ...]
    disable_check: bool = False
    disable_gc: bool = False
    load_only_inlined: bool = False
    source: str
    raw: str

    @property
    def capabilities(self) -> frozenset[str]:
        """Every capability that a plugin of the chain declares."""
        return frozenset().union(*(plugin.capabilities for plugin in self.plugins))


class SkippedFile(Struct, frozen=True):
    """A configuration file that is not in force, and why."""

    path: Path
    error: ConfigError


class ConfDir(Struct, frozen=True):
    """What a configuration directory holds: the networks in force, first one first, and what was skipped."""

    directory: Path
    networks: tuple[NetworkList, ...] = ()
    skipped: tuple[SkippedFile, ...] = ()

    def problem(self) -> str | None:
        """Why there is no network; None when there is one."""
        if self.networks:
            return None
        reasons = "; ".join(str(skipped.error) for skipped in self.skipped)
        return f"no network configuration found in {self.directory}" + (f": {reasons}" if reasons else "")
