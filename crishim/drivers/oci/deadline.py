"""A limit of time on what waits for others."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import anyio

from crishim.core.errors import DeadlineError


@contextmanager
def within(seconds: float, what: str) -> Iterator[None]:
    """Cancel the body after ``seconds`` and raise a DeadlineError that says ``what`` took so long."""
    with anyio.move_on_after(seconds) as scope:
        yield
    if scope.cancelled_caught:
        raise DeadlineError(f"{what} did not end within {seconds:g} s")
