"""A blob file as a stream of uncompressed bytes, counted and hashed while another thread consumes it.

Decompression and hashing release the interpreter lock, so on two cores most of their time is hidden.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import queue
import threading
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from crishim.image.digest import Digest
from crishim.image.errors import LayerError, LimitError
from crishim.image.unpack.decompress import PIECE, decompress, sniff

_READ = 256 << 10
_AHEAD = 4

_Item = bytes | BaseException | None


class LayerSource:
    """The tar stream of the blob at ``path``; a context manager that owns the decompressing thread.

    Reading raises ContentError for damaged data, LimitError past ``limit`` bytes and LayerError when the stream
    ends inside something. ``cancel`` set by another thread ends it with LayerError.
    """

    def __init__(self, path: Path, limit: int, cancel: threading.Event) -> None:
        self._path, self._limit, self._cancel = path, limit, cancel
        self._queue: queue.Queue[_Item] = queue.Queue(_AHEAD)
        self._closed = threading.Event()
        self._hash = hashlib.sha256()
        self._piece = memoryview(b"")
        self._ended = False
        self.produced = 0
        self._thread = threading.Thread(target=self._produce, name=f"inflate {path.name[:12]}", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closed.set()
        while self._thread.is_alive():
            self._drain_one()
        self._thread.join()

    def some(self, most: int) -> memoryview:
        """Between 1 and ``most`` bytes; empty only at the end of the stream."""
        if not self._piece and not self._next():
            return self._piece
        part, self._piece = self._piece[:most], self._piece[most:]
        return part

    def exactly(self, count: int) -> bytes:
        """``count`` bytes; raises LayerError when the stream ends before."""
        part = self.some(count)
        if len(part) == count:
            return bytes(part)
        collected = bytearray(part)
        while len(collected) < count:
            part = self.some(count - len(collected))
            if not part:
                raise LayerError("tar stream ends in the middle of an entry")
            collected += part
        return bytes(collected)

    def skip(self, count: int) -> None:
        """Pass over ``count`` bytes; raises LayerError when the stream ends before."""
        while count:
            part = self.some(count)
            if not part:
                raise LayerError("tar stream ends in the middle of an entry")
            count -= len(part)

    def at_end(self) -> bool:
        """Whether nothing is left."""
        return not self._piece and not self._next()

    def digest(self) -> Digest:
        """Read what is left; then the digest of the whole stream, its diff id."""
        while self.some(PIECE):
            pass
        return Digest(f"sha256:{self._hash.hexdigest()}")

    def _next(self) -> bool:
        if self._ended:
            return False
        item = self._queue.get()
        if isinstance(item, bytes):
            self._piece = memoryview(item)
            return True
        self._ended = True
        if item is not None:
            raise item
        return False

    def _produce(self) -> None:
        end: _Item = None
        try:
            with self._path.open("rb", buffering=0) as blob:
                first = blob.read(_READ)
                for piece in decompress(self._chunks(first, blob), sniff(first)):
                    self._count(piece)
                    self._queue.put(piece)
        except BaseException as exc:
            end = exc
        self._queue.put(end)

    def _count(self, piece: bytes) -> None:
        self.produced += len(piece)
        if self.produced > self._limit:
            raise LimitError(f"layer: unpacks to more than the allowed {self._limit} bytes")
        self._hash.update(piece)

    def _chunks(self, first: bytes, blob: io.FileIO) -> Iterator[bytes]:
        chunk = first
        while chunk:
            if self._closed.is_set() or self._cancel.is_set():
                raise LayerError("layer: unpacking was cancelled")
            yield chunk
            chunk = blob.read(_READ)

    def _drain_one(self) -> None:
        with contextlib.suppress(queue.Empty):
            self._queue.get(timeout=0.01)
