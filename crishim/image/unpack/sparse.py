"""Sparse files: the four ways GNU tar has written down where their data lies. Pure but for reading the map.

Source: GNU tar manual, "Storing Sparse Files": old GNU, PAX 0.0, 0.1 and 1.0.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from crishim.image.errors import LayerError
from crishim.image.unpack.header import BLOCK, Header, parse_number, show
from crishim.image.unpack.pax import SPARSE_PREFIX, Records

MAX_EXTENTS = 65536

_PAIR = struct.Struct("12s12s")
_IN_HEADER, _IN_EXTENSION = 4, 21
_HEADER_OFFSET, _HEADER_MORE, _HEADER_REAL_SIZE, _EXTENSION_MORE = 386, 482, 483, 504

ReadBlock = Callable[[], bytes]


@dataclass(frozen=True)
class SparseMap:
    """Where the stored bytes belong: ``extents`` of (offset, length) in a file of ``size`` bytes."""

    extents: tuple[tuple[int, int], ...]
    size: int


def checked(extents: Iterable[tuple[int, int]], size: int, stored: int, name: bytes) -> SparseMap:
    """The map, once its extents ascend without overlap inside ``size`` and hold just the ``stored`` bytes."""
    position, total, kept = 0, 0, []
    for offset, length in extents:
        if offset < position or length < 0 or offset + length > size:
            raise LayerError(f"tar entry {show(name)}: its sparse map is out of order or leaves the file")
        position, total = offset + length, total + length
        if length:
            kept.append((offset, length))
    if total != stored:
        raise LayerError(f"tar entry {show(name)}: its sparse map covers {total} bytes, {stored} are stored")
    return SparseMap(tuple(kept), size)


def from_old_gnu(block: bytes, header: Header, read_block: ReadBlock) -> SparseMap:
    """The map that begins in header ``block`` and goes on in the blocks ``read_block`` gives."""
    extents = _pairs(block, _HEADER_OFFSET, _IN_HEADER)
    more, size = block[_HEADER_MORE], parse_number(block[_HEADER_REAL_SIZE : _HEADER_REAL_SIZE + 12])
    while more:
        _limit(len(extents), header.name)
        extension = read_block()
        extents += _pairs(extension, 0, _IN_EXTENSION)
        more = extension[_EXTENSION_MORE]
    return checked(extents, size, header.size, header.name)


def from_pax(records: Records, header: Header, read_block: ReadBlock) -> SparseMap | None:
    """The map that ``records`` announce, with the file's true name put into ``header``; None: not sparse."""
    values = {key[len(SPARSE_PREFIX) :]: value for key, value in records if key.startswith(SPARSE_PREFIX)}
    if not values:
        return None
    header.name = values.get(b"name", header.name)
    size = _decimal(values.get(b"realsize", values.get(b"size", b"")), header.name)
    if values.get(b"major") == b"1" and values.get(b"minor") == b"0":
        return checked(_read_map(header, read_block), size, header.size, header.name)
    if b"map" in values:
        numbers = [_decimal(number, header.name) for number in values[b"map"].split(b",") if number]
    else:
        wanted = (SPARSE_PREFIX + b"offset", SPARSE_PREFIX + b"numbytes")
        numbers = [_decimal(value, header.name) for key, value in records if key in wanted]
    return checked(_in_pairs(numbers, header.name), size, header.size, header.name)


def _read_map(header: Header, read_block: ReadBlock) -> list[tuple[int, int]]:
    """PAX 1.0: decimal lines before the data, padded to whole blocks, counted in the stored size."""
    text, lines, seen = bytearray(), 1, 0
    while seen < lines:
        _limit(len(text) // 64, header.name)
        block = read_block()
        text += block
        seen += block.count(b"\n")
        header.size -= BLOCK
        first, newline, _ = text.partition(b"\n")
        if newline:
            lines = 1 + 2 * _limit(_decimal(bytes(first), header.name), header.name)
    numbers = [_decimal(line, header.name) for line in bytes(text).split(b"\n")[1:lines]]
    return _in_pairs(numbers, header.name)


def _pairs(block: bytes, offset: int, count: int) -> list[tuple[int, int]]:
    found = []
    for raw_offset, raw_length in _PAIR.iter_unpack(block[offset : offset + count * _PAIR.size]):
        if not raw_offset[0]:
            break
        found.append((parse_number(raw_offset), parse_number(raw_length)))
    return found


def _in_pairs(numbers: list[int], name: bytes) -> list[tuple[int, int]]:
    if len(numbers) % 2:
        raise LayerError(f"tar entry {show(name)}: its sparse map has an odd number of values")
    _limit(len(numbers) // 2, name)
    return list(zip(numbers[::2], numbers[1::2], strict=True))


def _limit(count: int, name: bytes) -> int:
    if count > MAX_EXTENTS:
        raise LayerError(f"tar entry {show(name)}: its sparse map has more than {MAX_EXTENTS} extents")
    return count


def _decimal(text: bytes, name: bytes) -> int:
    if not text.isdigit() or len(text) > 20:
        raise LayerError(f"tar entry {show(name)}: {show(text)} in its sparse map is not a number")
    return int(text)
