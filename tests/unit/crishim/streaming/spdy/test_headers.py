"""Header blocks: both ways, from the library of Kubernetes' clients, and hostile ones."""

import zlib
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crishim.streaming.spdy.dictionary import DICTIONARY
from crishim.streaming.spdy.frames import ProtocolError
from crishim.streaming.spdy.headers import (
    BLOCK_LIMIT,
    COUNT_LIMIT,
    HeaderCompressor,
    HeaderDecompressor,
    decode_block,
    encode_block,
)

names = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=20).map(str.lower)
headers = st.dictionaries(names, st.text(st.characters(max_codepoint=255), max_size=50), max_size=8)

FROM_SPDYSTREAM = ["78f9e3c6a7c26260606004a7b392a2d4c45c6851c29a0a0a6800000000ffff", "c22e555c92929907000000ffff"]


@given(st.lists(headers, max_size=5))
def test_blocks_of_a_connection_come_back(sent: list[dict[str, str]]) -> None:
    compressor, decompressor = HeaderCompressor(), HeaderDecompressor()
    assert [decompressor.decompress(compressor.compress(one)) for one in sent] == sent


def test_blocks_of_another_library() -> None:
    decompressor = HeaderDecompressor()
    found = [decompressor.decompress(bytes.fromhex(block)) for block in FROM_SPDYSTREAM]
    assert found == [{"streamtype": "error"}, {"streamtype": "stdin"}]


@given(st.binary(max_size=200))
def test_any_plain_block_is_headers_or_an_error(plain: bytes) -> None:
    with suppress(ProtocolError):
        assert encode_block(decode_block(plain)) == plain


@given(st.binary(max_size=100))
def test_any_block_is_headers_or_an_error(block: bytes) -> None:
    with suppress(ProtocolError):
        assert isinstance(HeaderDecompressor().decompress(block), dict)


def compressed(plain: bytes, *, end: bool = False) -> bytes:
    compressor = zlib.compressobj(level=9, zdict=DICTIONARY)
    return compressor.compress(plain) + compressor.flush(zlib.Z_FINISH if end else zlib.Z_SYNC_FLUSH)


def test_a_bomb_is_not_inflated() -> None:
    bomb = compressed(bytes(100 * 1024 * 1024))
    with pytest.raises(ProtocolError, match=f"more than {BLOCK_LIMIT} bytes"):
        HeaderDecompressor().decompress(bomb)


def block(*texts: bytes, count: int) -> bytes:
    return count.to_bytes(4) + b"".join(len(text).to_bytes(4) + text for text in texts)


WRONG = [
    (b"", "cut short"),
    (block(b"a", count=1), "cut short"),
    (block(count=0) + b"more", "more bytes"),
    (block(b"a", b"1", b"a", b"2", count=2), "twice"),
    (block(b"A", b"1", count=1), "lower case"),
    (block(b"", b"1", count=1), "empty"),
    (block(count=COUNT_LIMIT + 1), f"{COUNT_LIMIT + 1} headers"),
    (b"\0\0\0\1\xff\xff\xff\xff", "cut short"),
]


@pytest.mark.parametrize(("plain", "message"), WRONG)
def test_wrong_blocks(plain: bytes, message: str) -> None:
    with pytest.raises(ProtocolError, match=message):
        HeaderDecompressor().decompress(compressed(plain))


def test_compression_with_another_dictionary() -> None:
    compressor = zlib.compressobj(zdict=b"another dictionary")
    with pytest.raises(ProtocolError, match="cannot be decompressed"):
        HeaderDecompressor().decompress(compressor.compress(block(count=0)) + compressor.flush(zlib.Z_SYNC_FLUSH))


def test_compression_that_was_ended() -> None:
    with pytest.raises(ProtocolError, match="was ended"):
        HeaderDecompressor().decompress(compressed(block(count=0), end=True))
