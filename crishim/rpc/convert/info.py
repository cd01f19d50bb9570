"""The verbose part of a status: JSON texts by name."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec


def info_map(info: Mapping[str, object]) -> dict[str, str]:
    """Each value as JSON text."""
    return {name: msgspec.json.encode(value).decode() for name, value in info.items()}
