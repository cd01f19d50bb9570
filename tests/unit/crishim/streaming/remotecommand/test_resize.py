"""Sizes of terminals in a stream of bytes."""

import json
from contextlib import suppress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from crishim.core.errors import InvalidArgumentError
from crishim.streaming.remotecommand.resize import Size, SizeDecoder

sizes = st.builds(Size, st.integers(0, 65535), st.integers(0, 65535))


def decode(data: bytes, piece: int) -> list[Size]:
    decoder = SizeDecoder()
    return [size for start in range(0, len(data), piece) for size in decoder.feed(data[start : start + piece])]


@given(st.lists(sizes), st.sampled_from(["", "\n", " \r\n\t"]), st.integers(1, 60))
def test_sizes_come_back_however_they_are_cut(sent: list[Size], gap: str, piece: int) -> None:
    text = gap.join(json.dumps({"Width": size.width, "Height": size.height}) for size in sent)
    assert decode(text.encode(), piece) == sent


@given(st.binary(max_size=200), st.integers(1, 20))
@example(b"[" * 100_000, 100_000)
@example(b'{"Width":' + b"9" * 5000 + b"}", 10_000)
def test_anything_is_sizes_or_an_error(data: bytes, piece: int) -> None:
    with suppress(InvalidArgumentError):
        assert isinstance(decode(data, piece), list)


def test_names_are_not_case_sensitive_and_may_be_left_out() -> None:
    assert decode(b'{"width":80,"height":24}{"Width":90}', 100) == [Size(80, 24), Size(90, 0)]


WRONG = [b"[]", b"7 ", b'{"Width":-1}', b'{"Width":65536}', b'{"Width":1.5}', b'{"Width":true}', b"x" * 2000]


@pytest.mark.parametrize("data", WRONG)
def test_what_is_no_size(data: bytes) -> None:
    with pytest.raises(InvalidArgumentError, match="a terminal's size"):
        decode(data, 3000)
