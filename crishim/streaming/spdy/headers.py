"""Header blocks: names and values, compressed with one dictionary and one state for all frames of a direction.

Source: SPDY Draft 3.1, section 2.6.10 "Name/Value Header Block".
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping

from crishim.streaming.spdy.dictionary import DICTIONARY
from crishim.streaming.spdy.frames import ProtocolError

BLOCK_LIMIT = 64 * 1024
"""Bytes of one block when inflated. A header bomb is refused at this size, whatever it would grow to."""

COUNT_LIMIT = 100


class HeaderCompressor:
    """The sending direction of one connection."""

    def __init__(self) -> None:
        # A small window and little memory: the blocks are a few words, and there is one of these per connection.
        self._zlib = zlib.compressobj(wbits=11, memLevel=1, zdict=DICTIONARY)

    def compress(self, headers: Mapping[str, str]) -> bytes:
        """The block of ``headers``, whose names are in lower case. To be sent in the order of the calls."""
        return self._zlib.compress(encode_block(headers)) + self._zlib.flush(zlib.Z_SYNC_FLUSH)


class HeaderDecompressor:
    """The receiving direction of one connection."""

    def __init__(self) -> None:
        self._zlib = zlib.decompressobj(zdict=DICTIONARY)

    def decompress(self, block: bytes) -> dict[str, str]:
        """The headers in ``block``. Every block must come by here, also of a frame that is not wanted.

        Raises ProtocolError: the two sides share no compression state then.
        """
        try:
            plain = self._zlib.decompress(block, BLOCK_LIMIT + 1)
        except zlib.error as error:
            raise ProtocolError(f"headers cannot be decompressed: {error}") from error
        if len(plain) > BLOCK_LIMIT or self._zlib.unconsumed_tail:
            raise ProtocolError(f"headers of more than {BLOCK_LIMIT} bytes")
        if self._zlib.eof:
            raise ProtocolError("the compression of headers was ended")
        return decode_block(plain)


def encode_block(headers: Mapping[str, str]) -> bytes:
    """The block before compression. Several values of one name are separated by NUL."""
    parts = [len(headers).to_bytes(4)]
    for text in (text for pair in headers.items() for text in pair):
        encoded = text.encode("latin-1")
        parts += (len(encoded).to_bytes(4), encoded)
    return b"".join(parts)


def decode_block(plain: bytes) -> dict[str, str]:
    """The headers of a block that is not compressed; raises ProtocolError."""
    reader = _BlockReader(plain)
    count = reader.number()
    if count > COUNT_LIMIT:
        raise ProtocolError(f"{count} headers")
    headers: dict[str, str] = {}
    for _ in range(count):
        name, value = reader.text(), reader.text()
        if not name or name != name.lower() or name in headers:
            raise ProtocolError("a header name that is empty, not in lower case, or there twice")
        headers[name] = value
    if not reader.at_end:
        raise ProtocolError("more bytes than headers")
    return headers


class _BlockReader:
    def __init__(self, plain: bytes) -> None:
        self._plain, self._position = plain, 0

    @property
    def at_end(self) -> bool:
        return self._position == len(self._plain)

    def number(self) -> int:
        try:
            (number,) = struct.unpack_from(">I", self._plain, self._position)
        except struct.error as error:
            raise ProtocolError("headers are cut short") from error
        self._position += 4
        return int(number)

    def text(self) -> str:
        length = self.number()
        end = self._position + length
        if end > len(self._plain):
            raise ProtocolError("headers are cut short")
        text = self._plain[self._position : end].decode("latin-1")
        self._position = end
        return text
