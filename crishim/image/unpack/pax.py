"""Extended (pax) header records. Pure.

Source: POSIX.1-2017 "pax", extended header; ``SCHILY.xattr.`` as star and GNU tar write it.
"""

from __future__ import annotations

from crishim.image.errors import LayerError
from crishim.image.unpack.header import REGULAR, Header, show

XATTR_PREFIX = b"SCHILY.xattr."
SPARSE_PREFIX = b"GNU.sparse."

Records = list[tuple[bytes, bytes]]


def parse_records(body: bytes) -> Records:
    """Every ``LENGTH KEY=VALUE`` record in order; a key may come twice. Raises LayerError for a broken one."""
    records: Records = []
    position = 0
    while position < len(body):
        space = body.find(b" ", position, position + 20)
        digits = body[position:space] if space > 0 else b""
        if not digits.isdigit():
            raise LayerError("pax header: a record does not begin with its length")
        end = position + int(digits)
        if end > len(body) or end <= space + 1 or body[end - 1] != 0x0A:
            raise LayerError("pax header: a record's length is wrong")
        key, equals, value = body[space + 1 : end - 1].partition(b"=")
        if not equals or not key:
            raise LayerError("pax header: a record has no key")
        records.append((key, value))
        position = end
    return records


def override(header: Header, records: Records) -> dict[str, bytes]:
    """Put what ``records`` say into ``header`` and return the extended attributes among them."""
    xattrs: dict[str, bytes] = {}
    for key, value in records:
        if key.startswith(XATTR_PREFIX):
            xattrs[_attribute_name(key)] = value
        elif key == b"path":
            header.name = _without_nul(value)
        elif key == b"linkpath":
            header.linkname = _without_nul(value)
        elif key == b"size" and header.type == REGULAR:
            header.size = _natural(key, value)
        elif key == b"uid":
            header.uid = _natural(key, value)
        elif key == b"gid":
            header.gid = _natural(key, value)
        elif key == b"mtime":
            header.mtime = parse_time(value)
    return xattrs


def parse_time(value: bytes) -> int:
    """Decimal seconds, maybe negative and with a fraction, as nanoseconds; digits past the ninth are cut."""
    whole, _, fraction = value.partition(b".")
    negative = whole.startswith(b"-")
    digits = whole.lstrip(b"-")
    if not digits.isdigit() or (fraction and not fraction.isdigit()) or len(digits) > 18:
        raise LayerError(f"pax header: {show(value)} is not a time")
    nanoseconds = int(digits) * 1_000_000_000 + int(fraction[:9].ljust(9, b"0"))
    return -nanoseconds if negative else nanoseconds


def _natural(key: bytes, value: bytes) -> int:
    if not value.isdigit() or len(value) > 20:
        raise LayerError(f"pax header: {show(key)} is {show(value)}, expected a number")
    return int(value)


def _without_nul(value: bytes) -> bytes:
    if b"\0" in value:
        raise LayerError(f"pax header: the name {show(value)} has a NUL byte in it")
    return value


def _attribute_name(key: bytes) -> str:
    name = key[len(XATTR_PREFIX) :]
    if not name or b"\0" in name:
        raise LayerError("pax header: an extended attribute has no usable name")
    return name.decode("utf-8", "surrogateescape")
