"""Blob files: written aside, checked, flushed, then renamed to their digest. A blob that has its name is whole."""

from __future__ import annotations

import os
import secrets
import threading
import time
from collections.abc import Iterable
from pathlib import Path

from crishim.core.errors import NotFoundError
from crishim.drivers import threads
from crishim.image import faultpoints
from crishim.image.digest import Digest, Verifier, algorithm, encoded, is_digest
from crishim.image.errors import on_disk
from crishim.image.faultpoints import ImageFault

_ALGORITHMS = ("sha256", "sha512")


class BlobFiles:
    """The blobs under ``root``. ``sizes`` maps each digest to its bytes, so that questions need no disk."""

    def __init__(self, root: Path) -> None:
        self._blobs, self._ingest = root / "blobs", root / "ingest"
        self.sizes: dict[Digest, int] = {}
        self._naming = threading.Lock()  # what has its name and what ``sizes`` says change together

    def prepare(self) -> None:
        """Make the directories, drop what was half written, and learn what is there. Blocks."""
        for name in _ALGORITHMS:
            (self._blobs / name).mkdir(mode=0o700, parents=True, exist_ok=True)
        self._ingest.mkdir(mode=0o700, exist_ok=True)
        for file in self._ingest.iterdir():
            file.unlink()
        self.sizes = {
            digest: file.stat().st_size
            for name in _ALGORITHMS
            for file in (self._blobs / name).iterdir()
            if is_digest(digest := Digest(f"{name}:{file.name}"))
        }

    def path(self, digest: Digest) -> Path:
        """Where the blob is, or would be."""
        return self._blobs / algorithm(digest) / encoded(digest)

    def age(self, digest: Digest) -> float:
        """Seconds since the blob came; 0 when it is not there."""
        try:
            return time.time() - self.path(digest).stat().st_mtime
        except FileNotFoundError:
            return 0.0

    async def read(self, digest: Digest) -> bytes:
        """The whole content; for documents, which are small. Raises NotFoundError, also when it goes meanwhile."""
        try:
            return await threads.run(self.path(digest).read_bytes)
        except FileNotFoundError:
            raise NotFoundError(f"blob {digest} is not there") from None

    async def add(self, content: bytes, digest: Digest) -> None:
        """Keep ``content``, once it is checked; raises ContentError when it is something else."""
        if digest not in self.sizes:
            async with self.incoming(digest, len(content)) as writer:
                await writer.write(content)
                await writer.verify()
                await writer.commit()

    def incoming(self, digest: Digest, size: int | None) -> IncomingBlob:
        """A writer for ``digest``; a context manager that leaves nothing behind unless it was committed."""
        return IncomingBlob(self, digest, size, self._ingest / f"{encoded(digest)[:32]}-{secrets.token_hex(4)}")

    def forget(self, digests: Iterable[Digest]) -> dict[Digest, int]:
        """Take those that are there out of ``sizes``: ``remove`` their files, or put back what is returned."""
        return {digest: self.sizes.pop(digest) for digest in digests if digest in self.sizes}

    def place(self, aside: Path, digest: Digest, size: int) -> None:
        """Give a whole file its name. Blocks."""
        with self._naming:
            aside.rename(self.path(digest))
            self.sizes[digest] = size

    def remove(self, digest: Digest) -> None:
        """Delete the file of a forgotten blob, unless the blob has come again. Blocks as long as one unlink takes."""
        with self._naming:
            if digest not in self.sizes:
                self.path(digest).unlink(missing_ok=True)


class IncomingBlob:
    """One blob being written. Matches ``ports.BlobWriter``."""

    def __init__(self, blobs: BlobFiles, digest: Digest, size: int | None, aside: Path) -> None:
        self._blobs, self._digest, self._size, self._aside = blobs, digest, size, aside
        self._verifier = Verifier(digest, size)
        self._fd = -1
        self._committed = False

    async def __aenter__(self) -> IncomingBlob:
        with on_disk(f"keep blob {self._digest}"):
            self._fd = os.open(self._aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        return self

    async def __aexit__(self, *_: object) -> None:
        await threads.run(self._close)

    @property
    def offset(self) -> int:
        """How many bytes were taken so far."""
        return self._verifier.received

    async def write(self, data: bytes) -> None:
        """Take more bytes; raises ContentError as soon as there are too many."""
        await threads.run(self._write, data)

    async def restart(self) -> None:
        """Forget every byte taken so far, and what a failed write left in the file, which ``offset`` does not count."""
        await threads.run(self._empty)
        self._verifier = Verifier(self._digest, self._size)

    async def verify(self) -> None:
        """Raise ContentError unless the bytes taken are the blob."""
        self._verifier.finish()

    async def commit(self) -> None:
        """Make the blob visible under its digest. To be called after ``verify``."""
        await threads.run(self._commit)

    def _empty(self) -> None:
        with on_disk(f"keep blob {self._digest}"):
            os.ftruncate(self._fd, 0)
            os.lseek(self._fd, 0, os.SEEK_SET)

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        with on_disk(f"keep blob {self._digest}"):
            while view:
                view = view[os.write(self._fd, view) :]
        self._verifier.update(data)

    def _commit(self) -> None:
        faultpoints.reach(ImageFault.BLOB_WRITTEN)
        with on_disk(f"keep blob {self._digest}"):
            os.fsync(self._fd)
            self._blobs.place(self._aside, self._digest, self.offset)
            self._committed = True
            faultpoints.reach(ImageFault.BLOB_PLACED)
            sync_directory(self._blobs.path(self._digest).parent)

    def _close(self) -> None:
        os.close(self._fd)
        if not self._committed:
            self._aside.unlink(missing_ok=True)


def sync_directory(path: Path) -> None:
    """Flush the names in ``path`` to the disk. Blocks."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
