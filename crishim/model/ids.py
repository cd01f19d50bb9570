"""Ids of users and groups, and the texts that stand for them."""

from __future__ import annotations

import re

ID_MAX = 2**31 - 1
"""The largest user or group id that OCI runtimes take."""

_NUMBER = re.compile(r"[+-]?[0-9]{1,19}")  # longer ones are names, which nobody has


def number_of(text: str) -> int | None:
    """The number that ``text`` is, whether an id or too large for one; None for a name."""
    return int(text) if _NUMBER.fullmatch(text) else None


def is_id(number: int) -> bool:
    """Whether a user or group can have this id."""
    return 0 <= number <= ID_MAX
