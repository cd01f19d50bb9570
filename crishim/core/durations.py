"""Durations in Go's notation, such as ``1m30s``. Source: Go's ``time.ParseDuration``, less its signs and its bare 0."""

from __future__ import annotations

import re

UNITS = "h|ms|m|s|us|µs|ns"
"""The units as alternatives of a regular expression."""

_SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_PART = re.compile(rf"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)({UNITS})")


def parse_duration(text: str) -> float:
    """The seconds of a duration; raises ValueError."""
    parts = list(_PART.finditer(text))
    if not parts or "".join(part[0] for part in parts) != text:
        raise ValueError(f"{text!r} is not a duration such as 30s or 1m30s")
    return sum(float(part[1]) * _SECONDS[part[2]] for part in parts)
