"""A tar stream as a sequence of entries, with pax, GNU long-name and sparse extensions applied."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

from crishim.image.errors import LayerError, LimitError
from crishim.image.unpack import header as tar
from crishim.image.unpack.header import BLOCK, ZERO_BLOCK, Header, show
from crishim.image.unpack.pax import Records, override, parse_records
from crishim.image.unpack.sparse import SparseMap, from_old_gnu, from_pax

MAX_EXTENSION = 1 << 20


class ByteSource(Protocol):
    """Where a tar stream comes from."""

    def some(self, most: int) -> memoryview:
        """Between 1 and ``most`` bytes; empty only at the end of the stream."""
        ...

    def exactly(self, count: int) -> bytes:
        """``count`` bytes; raises LayerError when the stream ends before."""
        ...

    def skip(self, count: int) -> None:
        """Pass over ``count`` bytes; raises LayerError when the stream ends before."""
        ...

    def at_end(self) -> bool:
        """Whether nothing is left."""
        ...


@dataclass(slots=True)
class Entry:
    """One entry: its header, extended attributes and, for a sparse file, where its data belongs.

    The ``header.size`` bytes that follow it in the stream are the consumer's: read them all, or ``skip`` them.
    """

    header: Header
    xattrs: dict[str, bytes] = field(default_factory=dict)
    sparse: SparseMap | None = None


class TarReader:
    """Iterates over the entries of ``source``. Data of an entry that the consumer left unread is passed over.

    Raises LayerError for what is not well-formed, LimitError past ``may_have`` entries, extended headers included.
    """

    def __init__(self, source: ByteSource, may_have: int) -> None:
        self.source = source
        self._may_have = may_have
        self._headers = 0
        self._unread = 0
        self._padding = 0

    def __iter__(self) -> Iterator[Entry]:
        while (entry := self._next_entry()) is not None:
            self._unread = entry.header.size
            self._padding = -entry.header.size % BLOCK
            yield entry
            self.source.skip(self._unread + self._padding)

    def data(self, most: int) -> memoryview:
        """The next bytes of the current entry, at most ``most``; raises LayerError when the stream ends first."""
        part = self.source.some(min(most, self._unread))
        if not part and self._unread:
            raise LayerError("tar stream ends in the middle of a file")
        self._unread -= len(part)
        return part

    def _next_entry(self) -> Entry | None:
        longname: bytes | None = None
        longlink: bytes | None = None
        records: Records = []
        while (block := self._header_block()) is not None:
            self._headers += 1
            if self._headers > self._may_have:
                raise LimitError(f"tar stream: more than the allowed {self._may_have} entries and extended headers")
            header = Header(block)
            if header.type == tar.PAX:
                records = parse_records(self._extension(header))
            elif header.type == tar.GNU_LONGNAME:
                longname = self._extension(header).partition(b"\0")[0]
            elif header.type == tar.GNU_LONGLINK:
                longlink = self._extension(header).partition(b"\0")[0]
            elif header.type == tar.PAX_GLOBAL:
                self._extension(header)
            else:
                return self._finish(block, header, records, longname, longlink)
        if longname is not None or longlink is not None or records:
            raise LayerError("tar stream ends after an extended header")
        return None

    def _finish(
        self, block: bytes, header: Header, records: Records, longname: bytes | None, longlink: bytes | None
    ) -> Entry:
        if longname is not None:
            header.name = longname
        if longlink is not None:
            header.linkname = longlink
        entry = Entry(header)
        if records:
            entry.xattrs = override(header, records)
        if header.type == tar.GNU_SPARSE:
            entry.sparse = from_old_gnu(block, header, self._block)
            header.type = tar.REGULAR
        elif records and header.type == tar.REGULAR:
            entry.sparse = from_pax(records, header, self._block)
        return entry

    def _header_block(self) -> bytes | None:
        """The next header; None at the end, which is two zero blocks, or one, or the end of the stream."""
        if self.source.at_end():
            return None
        block = self._block()
        if block != ZERO_BLOCK:
            return block
        if not self.source.at_end() and self._block() != ZERO_BLOCK:
            raise LayerError("tar stream: data after a zero block")
        return None

    def _block(self) -> bytes:
        return self.source.exactly(BLOCK)

    def _extension(self, header: Header) -> bytes:
        if header.size > MAX_EXTENSION:
            raise LayerError(
                f"tar entry {show(header.name)}: extended header of {header.size} bytes, allowed {MAX_EXTENSION}"
            )
        body = self.source.exactly(header.size)
        self.source.skip(-header.size % BLOCK)
        return body
