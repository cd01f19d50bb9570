"""One 512-byte tar header block as a value. Reads the v7, ustar, GNU and star dialects; no I/O.

Source: POSIX.1-2017 "pax", ustar interchange format; GNU tar manual, "Basic Tar Format".
"""

from __future__ import annotations

import struct

from crishim.image.errors import LayerError

BLOCK = 512
ZERO_BLOCK = bytes(BLOCK)

REGULAR, LINK, SYMLINK, CHAR, BLOCK_DEVICE, DIRECTORY, FIFO = b"0", b"1", b"2", b"3", b"4", b"5", b"6"
PAX, PAX_GLOBAL, GNU_LONGNAME, GNU_LONGLINK, GNU_SPARSE = b"x", b"g", b"L", b"K", b"S"
_SAME_AS_REGULAR = frozenset({b"0", b"\0", b"7"})
_WITHOUT_DATA = frozenset({LINK, SYMLINK, CHAR, BLOCK_DEVICE, DIRECTORY, FIFO})

# name mode uid gid size mtime checksum type linkname magic uname gname major minor prefix
_FIELDS = struct.Struct("100s8s8s8s12s12s8sc100s8s32s32s8s8s155s12x")
_SUM_BEFORE, _SUM_AFTER = 148, 156
_BLANK_SUM = 8 * 0x20


class Header:
    """An entry's header. ``size`` is what follows in the stream; times are nanoseconds since the epoch."""

    __slots__ = ("gid", "linkname", "major", "minor", "mode", "mtime", "name", "size", "type", "uid")

    def __init__(self, block: bytes) -> None:
        """Parse ``block``; raises LayerError when the checksum or a number is wrong."""
        fields = _FIELDS.unpack(block)
        _check_sum(block, fields[6])
        kind: bytes = fields[7]
        magic: bytes = fields[9]
        self.name = _text(fields[0])
        self.mode = parse_number(fields[1]) & 0o7777
        self.uid = parse_number(fields[2])
        self.gid = parse_number(fields[3])
        self.mtime = parse_number(fields[5]) * 1_000_000_000
        self.linkname = _text(fields[8])
        self.type = REGULAR if kind in _SAME_AS_REGULAR else kind
        self.size = 0 if kind in _WITHOUT_DATA else parse_number(fields[4])
        is_device = kind in (CHAR, BLOCK_DEVICE)
        self.major = parse_number(fields[12]) if is_device else 0
        self.minor = parse_number(fields[13]) if is_device else 0
        if magic[:6] == b"ustar\0" and fields[14][0]:
            self.name = _text(fields[14]) + b"/" + self.name
        if self.type == REGULAR and kind == b"\0" and self.name.endswith(b"/"):
            self.type, self.size = DIRECTORY, 0
        if self.size < 0:
            raise LayerError(f"tar entry {show(self.name)}: negative size {self.size}")


def show(name: bytes) -> str:
    """A name as an error may quote it."""
    text = name[:256].decode("utf-8", "backslashreplace")
    return repr(text + ("…" if len(name) > 256 else ""))


def _text(field: bytes) -> bytes:
    end = field.find(b"\0")
    return field if end < 0 else field[:end]


def parse_number(field: bytes) -> int:
    """Octal digits, or base 256 when the top bit of the first byte is set (negative when it is 0xff)."""
    first = field[0]
    if first & 0x80:
        value = int.from_bytes(field, "big")
        bits = 8 * len(field)
        return value - (1 << bits) if first & 0x40 else value & ~(1 << (bits - 1))
    digits = field.strip(b"\0 ")
    if not digits:
        return 0
    try:
        return int(digits, 8)
    except ValueError:
        raise LayerError(f"tar header: {digits!r} is not an octal number") from None


def _check_sum(block: bytes, field: bytes) -> None:
    """Accepts the unsigned sum and, for archives of very old programs, the signed one."""
    expected = parse_number(field)
    actual = sum(block) - sum(block[_SUM_BEFORE:_SUM_AFTER]) + _BLANK_SUM
    if actual == expected:
        return
    signed = actual - 256 * sum(1 for i, byte in enumerate(block) if byte > 127 and not _SUM_BEFORE <= i < _SUM_AFTER)
    if signed != expected:
        raise LayerError("tar header: wrong checksum; this is not a tar stream, or it is damaged")
