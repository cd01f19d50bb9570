"""Measured times."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

# Milliseconds by what was done.
Times = dict[str, list[float]]


@contextmanager
def timed(times: Times, what: str) -> Iterator[None]:
    """Add to ``times`` how long the body takes."""
    begun = time.perf_counter()
    yield
    times[what].append((time.perf_counter() - begun) * 1000)
