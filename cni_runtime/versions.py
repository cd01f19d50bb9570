"""The versions of the CNI specification this library speaks, oldest first.

Source: CNI specification 1.1.0, "Released versions" and "Version considerations".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from cni_runtime.errors import VersionError

SUPPORTED = ("0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0")
CURRENT = SUPPORTED[-1]
IMPLIED = "0.1.0"
"""What a configuration or result without a version is taken for."""

Parts = tuple[int, int, int]


@lru_cache(64)
def parse(version: str) -> Parts:
    """Major, minor and patch number of ``version``; raises VersionError when it is not three plain numbers."""
    fields = version.split(".")
    if len(fields) != 3 or not all(field.isascii() and field.isdigit() and len(field) < 10 for field in fields):
        raise VersionError(f"{version[:80]!r} is not a CNI version, expected MAJOR.MINOR.PATCH")
    major, minor, patch = map(int, fields)
    return major, minor, patch


def at_least(version: str, minimum: str) -> bool:
    """Whether ``version`` is ``minimum`` or later."""
    return parse(version) >= parse(minimum)


def require(version: str) -> str:
    """``version`` itself when this library speaks it; raises VersionError otherwise."""
    if version not in SUPPORTED:
        raise VersionError(f"unknown CNI version {version[:80]!r}, expected one of {', '.join(SUPPORTED)}")
    return version


def version_of(config: Mapping[str, Any]) -> str:
    """The version that a plugin's configuration states, or is taken for; it may be one that nobody knows."""
    return str(config.get("cniVersion") or IMPLIED)


def negotiate(config_version: str, config_versions: Iterable[str] = ()) -> str:
    """The highest version that both the configuration and this library speak.

    ``config_version`` is the configuration's ``cniVersion`` (empty: not given), ``config_versions`` its
    ``cniVersions``. Without either it is 0.1.0. Raises VersionError when there is none in common.
    """
    offered = [version for version in (config_version, *config_versions) if version]
    known = [version for version in offered if version in SUPPORTED]
    if known:
        return max(known, key=parse)
    if offered:
        found = ", ".join(repr(version[:80]) for version in offered[:10])
        raise VersionError(f"no known CNI version in {found}, expected one of {', '.join(SUPPORTED)}")
    return IMPLIED
