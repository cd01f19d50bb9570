"""Durations as Go writes them."""

from __future__ import annotations

import pytest

from crishim.core.durations import parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1s", 1),
        ("1m30s", 90),
        ("1.5h", 5400),
        ("200ms", 0.2),
        ("10us", 1e-5),
        ("10µs", 1e-5),
        ("5ns", 5e-9),
        (".5s", 0.5),
    ],
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "0", "soon", "1", "1 s", "1s1", "-1s", "s", ".s", "1..5s"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="not a duration"):
        parse_duration(text)
