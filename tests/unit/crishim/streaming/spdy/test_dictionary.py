"""The dictionary is the one of the specification."""

import zlib

from crishim.streaming.spdy.dictionary import DICTIONARY


def test_length_and_checksum() -> None:
    assert (len(DICTIONARY), zlib.adler32(DICTIONARY)) == (1423, 0xE3C6A7C2)
