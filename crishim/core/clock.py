"""What time it is, and which boot this is."""

from __future__ import annotations

import time
from functools import cache
from pathlib import Path

from crishim.core.errors import SystemCallError

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def now_ns() -> int:
    """The wall clock: nanoseconds since the epoch."""
    return time.time_ns()


def monotonic() -> float:
    """Seconds since some fixed point of this boot; for measuring and deadlines."""
    return time.monotonic()


@cache
def boot_id() -> str:
    """The kernel's random id of this boot. Raises SystemCallError where the kernel does not tell."""
    try:
        return _BOOT_ID.read_text(encoding="ascii").strip()
    except OSError as error:
        raise SystemCallError(f"read {_BOOT_ID}: {error.strerror}") from error
