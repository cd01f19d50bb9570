"""What names in an archive mean."""

from __future__ import annotations

import posixpath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crishim.image.errors import LayerError
from crishim.image.unpack.names import Meaning, Target, clean, target


@pytest.mark.parametrize(
    ("raw", "cleaned"),
    [
        (b"a", b"a"),
        (b"./a/", b"a"),
        (b"/etc/passwd", b"etc/passwd"),
        (b"//a//b/./c", b"a/b/c"),
        (b"a/../b", b"b"),
        (b"", b""),
        (b".", b""),
        (b"/", b""),
        (b"a\xff", b"a\xff"),
    ],
)
def test_clean(raw: bytes, cleaned: bytes) -> None:
    assert clean(raw) == cleaned


@pytest.mark.parametrize("raw", [b"..", b"../x", b"a/../../x", b"/../x", b"./../x"])
def test_traversal_is_refused(raw: bytes) -> None:
    with pytest.raises(LayerError, match="leads out"):
        clean(raw)


@given(st.lists(st.sampled_from([b"..", b".", b"a", b"b", b""]), max_size=8).map(b"/".join))
def test_a_cleaned_name_stays_inside(raw: bytes) -> None:
    try:
        cleaned = clean(raw)
    except LayerError:
        return
    assert posixpath.normpath(b"/r/" + cleaned).startswith(b"/r")
    assert b".." not in cleaned.split(b"/")


@pytest.mark.parametrize(
    ("raw", "found"),
    [
        (b"a/b", Target(b"a", b"b")),
        (b"b", Target(b"", b"b")),
        (b"./", Target(b"", b"")),
        (b"a/.wh.b", Target(b"a", b"b", Meaning.WHITEOUT)),
        (b".wh..b", Target(b"", b".b", Meaning.WHITEOUT)),
        (b"a/.wh..wh..opq", Target(b"a", b".wh..wh..opq", Meaning.OPAQUE)),
        (b".wh..wh.plnk/1", Target(b".wh..wh.plnk", b"1")),
        (b".wh..wh.aufs", Target(b"", b".wh..wh.aufs", Meaning.IGNORED)),
    ],
)
def test_meaning(raw: bytes, found: Target) -> None:
    assert target(raw) == found


@pytest.mark.parametrize("raw", [b"a/.wh.", b".wh..", b".wh..."])
def test_a_whiteout_of_nothing(raw: bytes) -> None:
    with pytest.raises(LayerError, match="whiteout of nothing"):
        target(raw)
