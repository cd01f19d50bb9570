"""What is known of the runtime handlers that are configured."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from crishim.core.errors import UnavailableError

T = TypeVar("T")


def of_handler(known: Mapping[str, T], name: str) -> T:
    """What is known of the handler ``name``.

    Raises UnavailableError when it is not configured any more; pods may still run that were made with it.
    """
    if name in known:
        return known[name]
    raise UnavailableError(f"runtime handler {name!r} cannot be used: it is not configured any more")
