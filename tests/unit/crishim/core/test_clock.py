from __future__ import annotations

import re
import time

from crishim.core import clock


def test_the_wall_clock_counts_nanoseconds() -> None:
    assert abs(clock.now_ns() / 1e9 - time.time()) < 1


def test_the_monotonic_clock_counts_seconds() -> None:
    assert 0 <= time.monotonic() - clock.monotonic() + 0.001 < 1


def test_the_boot_has_one_id() -> None:
    assert re.fullmatch(r"[0-9a-f-]{36}", clock.boot_id())
    assert clock.boot_id() is clock.boot_id()
