"""WWW-Authenticate headers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crishim.image.registry.challenge import Challenge, parse_challenges


@pytest.mark.parametrize(
    ("header", "found"),
    [
        ("", ()),
        ("Basic", (Challenge("basic"),)),
        ("Negotiate, Basic realm=x", (Challenge("negotiate"), Challenge("basic", "x"))),
        (
            'Bearer realm="https://t/?a=b",service="s",scope="repository:a/b:pull,push"',
            (Challenge("bearer", "https://t/?a=b", "s", "repository:a/b:pull,push"),),
        ),
        (r'BEARER Realm="a \"b\"" , error="x"', (Challenge("bearer", 'a "b"'),)),
        ("=====", ()),
    ],
)
def test_headers(header: str, found: tuple[Challenge, ...]) -> None:
    assert parse_challenges(header) == found


@given(st.text(max_size=200))
def test_garbage_ends(header: str) -> None:
    parse_challenges(header)
