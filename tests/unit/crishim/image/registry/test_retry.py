"""When to ask again."""

from __future__ import annotations

import email.utils

import pytest

from crishim.image.registry.retry import MAX_RETRY_AFTER, Backoff, is_temporary, retry_after


@pytest.mark.parametrize(("status", "answer"), [(200, False), (404, False), (429, True), (500, True), (503, True)])
def test_temporary(status: int, *, answer: bool) -> None:
    assert is_temporary(status) is answer


def test_pauses_grow_and_end() -> None:
    backoff = Backoff(first=1.0, most=4.0)
    pauses = [backoff.pause(attempt) for attempt in (1, 2, 3, 4)]
    assert all(0.75 * base <= pause <= 1.25 * base for pause, base in zip(pauses, (1, 2, 4, 4), strict=True))


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("soon", None),
        ("\u00b2", None),
        ("Mon, 01 Jan 99999 00:00:00 GMT", None),
        (f"Mon, 01 Jan {10**30} 00:00:00 GMT", None),
        ("7", 7.0),
        ("86400", MAX_RETRY_AFTER),
        (email.utils.formatdate(1010.0), 10.0),
        (email.utils.formatdate(990.0), 0.0),
    ],
)
def test_retry_after(header: str | None, seconds: float | None) -> None:
    assert retry_after(header, now=1000.0) == seconds
