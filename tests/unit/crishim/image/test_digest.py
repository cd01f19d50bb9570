"""Digests and the check of content against them."""

from __future__ import annotations

import hashlib

import pytest

from crishim.image.digest import Digest, Verifier, check, digest_of, require_digest
from crishim.image.errors import ContentError

EMPTY = Digest("sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")


def test_the_digest_of_nothing() -> None:
    assert digest_of(b"") == EMPTY


@pytest.mark.parametrize("text", ["", "sha256:", "sha256:" + "A" * 64, "sha256:" + "a" * 63, "sha1:" + "a" * 40, "x"])
def test_what_is_no_digest(text: str) -> None:
    with pytest.raises(ContentError, match=r"manifest m: digest .* expected sha256"):
        require_digest(text, "manifest m")


def test_sha512_is_checked_too() -> None:
    check(b"x", Digest("sha512:" + hashlib.sha512(b"x").hexdigest()), 1)


@pytest.mark.parametrize(("content", "size"), [(b"", 1), (b"x", None), (b"x", 1)])
def test_wrong_content(content: bytes, size: int | None) -> None:
    with pytest.raises(ContentError):
        check(content, EMPTY, size)


def test_too_many_bytes_are_refused_at_once() -> None:
    verifier = Verifier(EMPTY, 2)
    verifier.update(b"ab")
    with pytest.raises(ContentError, match="more than the 2 bytes"):
        verifier.update(b"c")
