"""A tar file whose members are read where they lie; nothing is extracted. Blocks: to be used in a worker thread."""

from __future__ import annotations

import os
import posixpath
import stat
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from crishim.image.errors import ArchiveError, LayerError, LimitError, on_disk
from crishim.image.types import Compression
from crishim.image.unpack import header as tar
from crishim.image.unpack.decompress import decompress, sniff
from crishim.image.unpack.names import clean
from crishim.image.unpack.reader import TarReader

_CHUNK = 1 << 20
_MAX_LINKS = 8
_MAX_INDEX, _PER_MEMBER = 64 << 20, 256  # bytes of memory, roughly; an image has some hundred members


class ArchiveFile:
    """The members of the archive at ``path``; a compressed one goes into a nameless file in ``scratch`` first."""

    def __init__(self, path: Path, scratch: Path, limit: int) -> None:
        """Open ``path`` and find its members; raises ArchiveError when it is no tar file, LimitError past ``limit``."""
        try:
            self._fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as exc:
            raise ArchiveError(f"archive {path}: {exc.strerror}") from exc
        try:
            self._fd = _plain(self._fd, path, scratch, limit)
            self._members, self._links = _index(self._fd, path)
        except BaseException:
            os.close(self._fd)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._fd)

    def __contains__(self, name: str) -> bool:
        return self._find(name) is not None

    def size(self, name: str) -> int:
        """How many bytes the member has; raises ArchiveError when it is not there."""
        return self._member(name)[1]

    def read(self, name: str, limit: int) -> bytes:
        """A small member as a whole; raises LimitError when it is larger than ``limit``."""
        if self.size(name) > limit:
            raise LimitError(f"archive member {name}: {self.size(name)} bytes, at most {limit} are allowed")
        return b"".join(self.chunks(name))

    def chunks(self, name: str) -> Iterator[bytes]:
        """The content of a member in pieces."""
        offset, left = self._member(name)
        while left:
            chunk = os.pread(self._fd, min(left, _CHUNK), offset)
            if not chunk:
                raise ArchiveError(f"archive member {name}: the archive ends in the middle of it")
            yield chunk
            offset, left = offset + len(chunk), left - len(chunk)

    def _member(self, name: str) -> tuple[int, int]:
        found = self._find(name)
        if found is None:
            raise ArchiveError(f"archive: has no member {name!r}")
        return found

    def _find(self, name: str) -> tuple[int, int] | None:
        for _ in range(_MAX_LINKS):
            if name in self._members:
                return self._members[name]
            if name not in self._links:
                return None
            name = self._links[name]
        return None


class _FileSource:
    """A seekable file as ``reader.ByteSource``; passing over data costs nothing."""

    def __init__(self, fd: int, size: int) -> None:
        self._fd, self._size, self.offset = fd, size, 0

    def some(self, most: int) -> memoryview:
        chunk = os.pread(self._fd, most, self.offset)
        self.offset += len(chunk)
        return memoryview(chunk)

    def exactly(self, count: int) -> bytes:
        chunk = os.pread(self._fd, count, self.offset)
        if len(chunk) != count:
            raise LayerError("tar file ends in the middle of an entry")
        self.offset += count
        return chunk

    def skip(self, count: int) -> None:
        self.offset += count
        if self.offset > self._size:
            raise LayerError("tar file ends in the middle of an entry")

    def at_end(self) -> bool:
        return self.offset >= self._size


def _index(fd: int, path: Path) -> tuple[dict[str, tuple[int, int]], dict[str, str]]:
    """Offset and size of every file, and where links lead: docker archives store a repeated layer as a link."""
    members: dict[str, tuple[int, int]] = {}
    links: dict[str, str] = {}
    source = _FileSource(fd, os.fstat(fd).st_size)
    room = _MAX_INDEX
    try:
        for entry in TarReader(source, _MAX_INDEX // _PER_MEMBER):
            room -= _PER_MEMBER + len(entry.header.name) + len(entry.header.linkname)
            if room < 0:
                raise LimitError(f"archive {path}: has too many members, or names that are too long")
            name = os.fsdecode(clean(entry.header.name))
            if entry.header.type == tar.REGULAR and entry.sparse is None:
                members[name] = source.offset, entry.header.size
            elif entry.header.type == tar.LINK:
                links[name] = os.fsdecode(clean(entry.header.linkname))
            elif entry.header.type == tar.SYMLINK:
                target = os.fsdecode(entry.header.linkname)
                links[name] = posixpath.normpath(posixpath.join(posixpath.dirname(name), target))
    except LayerError as exc:
        raise ArchiveError(f"archive {path}: {exc}") from exc
    return members, links


def _plain(fd: int, path: Path, scratch: Path, limit: int) -> int:
    """``fd`` itself when the archive is not compressed, else a nameless file with its uncompressed content."""
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        raise ArchiveError(f"archive {path}: not a regular file")
    compression = sniff(os.pread(fd, 16, 0))
    if compression is Compression.NONE:
        return fd
    with on_disk(f"unpack archive {path}"):
        unpacked = os.open(scratch, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        total = 0
        for piece in decompress(_read(fd), compression):
            total += len(piece)
            if total > limit:
                raise LimitError(f"archive {path}: unpacks to more than the allowed {limit} bytes")
            with on_disk(f"unpack archive {path}"):
                _write(unpacked, piece)
    except BaseException:
        os.close(unpacked)
        raise
    os.close(fd)
    return unpacked


def _read(fd: int) -> Iterator[bytes]:
    while chunk := os.read(fd, _CHUNK):
        yield chunk


def _write(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
