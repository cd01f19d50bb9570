"""When a failed request is sent again, and how long to wait before. Pure."""

from __future__ import annotations

import email.utils
import random
import time
from dataclasses import dataclass

_TEMPORARY = frozenset({408, 429, 500, 502, 503, 504})
MAX_RETRY_AFTER = 60.0


@dataclass(frozen=True)
class Backoff:
    """``attempts`` in all; a first pause of ``first`` seconds, each twice the one before, none longer than ``most``."""

    attempts: int = 5
    first: float = 0.2
    most: float = 10.0

    def pause(self, attempt: int) -> float:
        """Seconds to wait after failed ``attempt`` (from 1), with jitter so that nodes do not come back together."""
        return float(min(self.most, self.first * 2 ** (attempt - 1))) * random.uniform(0.75, 1.25)


def is_temporary(status: int) -> bool:
    """Whether the same request may be answered better later."""
    return status in _TEMPORARY


def retry_after(header: str | None, now: float | None = None) -> float | None:
    """Seconds a Retry-After header asks to wait, at most MAX_RETRY_AFTER; None when it makes no sense."""
    if not header:
        return None
    if header.strip().isdecimal():
        return min(float(header), MAX_RETRY_AFTER)
    try:
        parsed = email.utils.parsedate_tz(header)
        until = None if parsed is None else email.utils.mktime_tz(parsed)
    except (ValueError, OverflowError):  # such as a year that no calendar has
        until = None
    if until is None:
        return None
    wait = until - (time.time() if now is None else now)
    return min(max(wait, 0.0), MAX_RETRY_AFTER)
