"""Platforms: which entry of an image index this machine runs best.

Source: OCI image specification, "Image Index", ``platform``; variants as Go and the distribution tools name them.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from msgspec import Struct

_MACHINES = {
    "x86_64": ("amd64", ""),
    "i686": ("386", ""),
    "aarch64": ("arm64", "v8"),
    "armv7l": ("arm", "v7"),
    "armv6l": ("arm", "v6"),
}
_ALIASES = {"x86_64": "amd64", "x86-64": "amd64", "aarch64": "arm64", "i386": "386", "armhf": "arm", "armel": "arm"}
_DEFAULT_VARIANT = {"amd64": "v1", "arm64": "v8", "arm": "v7"}
_LEVELS = (
    ("v4", {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"}),
    ("v3", {"avx2", "bmi1", "bmi2", "fma", "f16c", "movbe"}),
    ("v2", {"ssse3", "sse4_1", "sse4_2", "popcnt", "cx16"}),
)
# 32-bit programs run on these 64-bit machines, but only when there is nothing better.
_COMPATIBLE = {"arm64": ("arm", ("v8", "v7", "v6", "v5")), "amd64": ("386", ("",))}


class Platform(Struct, frozen=True):
    """What an image is built for, as an index or an image configuration says it."""

    architecture: str = ""
    os: str = ""
    variant: str = ""

    def __str__(self) -> str:
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)


def normalize(platform: Platform) -> Platform:
    """The usual spelling, with the default variant of the architecture filled in."""
    architecture = _ALIASES.get(platform.architecture.lower(), platform.architecture.lower())
    variant = platform.variant.lower()
    if variant.isdigit():
        variant = f"v{variant}"
    return Platform(architecture, platform.os.lower(), variant or _DEFAULT_VARIANT.get(architecture, ""))


def preference(host: Platform) -> tuple[Platform, ...]:
    """Everything ``host`` runs, best first."""
    host = normalize(host)
    best = [Platform(host.architecture, host.os, variant) for variant in _descending(host.variant)]
    architecture, variants = _COMPATIBLE.get(host.architecture, ("", ()))
    return (*best, *(Platform(architecture, host.os, variant) for variant in variants))


def choose(host: Platform, offered: Iterable[Platform | None]) -> int | None:
    """The index of the entry of ``offered`` that suits ``host`` best; None when none does."""
    order = {platform: rank for rank, platform in enumerate(preference(host))}
    ranked = [(order[key], index) for index, key in enumerate(map(_key, offered)) if key in order]
    return min(ranked)[1] if ranked else None


def _key(platform: Platform | None) -> Platform | None:
    return None if platform is None else normalize(platform)


def _descending(variant: str) -> list[str]:
    if not variant.removeprefix("v").isdigit():
        return [variant]
    return [f"v{level}" for level in range(int(variant[1:]), 0, -1)]


def amd64_variant(flags: Iterable[str]) -> str:
    """The micro-architecture level of a CPU with ``flags``, as /proc/cpuinfo names them."""
    present, reached = set(flags), "v1"
    for level, needed in reversed(_LEVELS):
        if not needed <= present:
            break
        reached = level
    return reached


def host_platform(cpuinfo: Path = Path("/proc/cpuinfo")) -> Platform:
    """The platform of this machine."""
    machine = os.uname().machine
    architecture, variant = _MACHINES.get(machine, (machine, ""))
    if architecture == "amd64":
        variant = amd64_variant(_cpu_flags(cpuinfo))
    return Platform(architecture, "linux", variant)


def _cpu_flags(cpuinfo: Path) -> list[str]:
    try:
        lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    return next((line.partition(":")[2].split() for line in lines if line.startswith("flags")), [])
