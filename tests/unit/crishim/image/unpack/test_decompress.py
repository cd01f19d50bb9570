"""Packed layers, whole and damaged."""

from __future__ import annotations

import gzip
import random

import pytest
from backports import zstd

from crishim.image.errors import ContentError, LimitError
from crishim.image.types import Compression
from crishim.image.unpack.decompress import PIECE, decompress, sniff

DATA = random.Random(1).randbytes(10_000) + bytes(3 * PIECE) + b"end"
GZIP, ZSTD = gzip.compress(DATA), bytes(zstd.compress(DATA))


def _unpacked(packed: bytes, step: int = 7919) -> bytes:
    chunks = [packed[start : start + step] for start in range(0, len(packed), step)]
    return b"".join(decompress(chunks, sniff(packed)))


@pytest.mark.parametrize("packed", [DATA, GZIP, ZSTD], ids=["none", "gzip", "zstd"])
@pytest.mark.parametrize("step", [1000, 1 << 22])
def test_round_trip(packed: bytes, step: int) -> None:
    assert _unpacked(packed, step) == DATA


@pytest.mark.parametrize("packed", [GZIP + gzip.compress(b"more"), ZSTD + zstd.compress(b"more")], ids=["gzip", "zstd"])
def test_several_members(packed: bytes) -> None:
    assert _unpacked(packed) == DATA + b"more"


@pytest.mark.parametrize("packed", [gzip.compress(b""), bytes(zstd.compress(b""))], ids=["gzip", "zstd"])
def test_the_number_of_members_has_a_limit(packed: bytes) -> None:
    assert list(decompress([100 * packed], sniff(packed), 100)) == []
    with pytest.raises(LimitError, match="more pieces"):
        list(decompress([101 * packed], sniff(packed), 100))


def test_zero_padding_after_gzip() -> None:
    assert _unpacked(GZIP + bytes(1000)) == DATA


@pytest.mark.parametrize("packed", [GZIP, ZSTD], ids=["gzip", "zstd"])
@pytest.mark.parametrize("keep", [30, -1])
def test_truncated(packed: bytes, keep: int) -> None:
    with pytest.raises(ContentError, match="ends too early"):
        _unpacked(packed[:keep])


@pytest.mark.parametrize("packed", [GZIP, ZSTD], ids=["gzip", "zstd"])
def test_damaged(packed: bytes) -> None:
    with pytest.raises(ContentError, match="not a valid"):
        _unpacked(packed[:6] + b"\xff" * 500 + packed[506:])


def test_garbage_after_gzip() -> None:
    with pytest.raises(ContentError, match="gzip"):
        _unpacked(GZIP + b"garbage")


def test_pieces_are_bounded() -> None:
    assert max(len(piece) for piece in decompress([GZIP], Compression.GZIP)) <= PIECE


@pytest.mark.parametrize(
    ("data", "found"), [(GZIP, Compression.GZIP), (ZSTD, Compression.ZSTD), (b"etc/", Compression.NONE)]
)
def test_sniff(data: bytes, found: Compression) -> None:
    assert sniff(data) is found
