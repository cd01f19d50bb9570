"""What an image says about its user."""

from __future__ import annotations

import pytest

from crishim.image.status import parse_user


@pytest.mark.parametrize(
    ("user", "found"),
    [
        ("", (None, "")),
        ("0", (0, "")),
        ("1002", (1002, "")),
        ("1003:1004", (1003, "")),
        ("www-data", (None, "www-data")),
        ("www-data:1004", (None, "www-data")),
        (":5", (None, "")),
        ("²", (None, "²")),
    ],
)
def test_user(user: str, found: tuple[int | None, str]) -> None:
    assert parse_user(user) == found
