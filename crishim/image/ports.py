"""What the image domain needs of the machine, as Protocols."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from crishim.model.image import HoldRecord, ImageRecord, LayerRecord


class ImageRecords(Protocol):
    """Durable records. Each call is one transaction; it raises UnavailableError when the disk fails."""

    async def load_images(self) -> Sequence[ImageRecord]:
        """All images."""
        ...

    async def load_layers(self) -> Sequence[LayerRecord]:
        """All layers."""
        ...

    async def load_holds(self) -> Sequence[HoldRecord]:
        """All holds."""
        ...

    async def put(self, *records: ImageRecord | LayerRecord | HoldRecord) -> None:
        """Write or replace records, all or none. A loss of power may undo it, with all that came after."""
        ...

    async def put_through(self, *records: ImageRecord | LayerRecord | HoldRecord) -> None:
        """As ``put``, but they and all that was written before outlive a loss of power."""
        ...

    async def delete(
        self, *, images: Sequence[str] = (), layers: Sequence[str] = (), holds: Sequence[str] = ()
    ) -> None:
        """Forget images by id, layers by chain id and holds by owner, all or none; unknown ones are no error.

        It and all that was written before outlive a loss of power, unless it is nothing but holds.
        """
        ...


class FileSystem(Protocol):
    """What the kernel does with whole file systems."""

    async def sync(self, path: Path) -> None:
        """Return when all that was written to the file system of ``path`` is on the disk."""
        ...


class BlobWriter(Protocol):
    """A blob on its way into the store."""

    @property
    def offset(self) -> int:
        """How many bytes were taken so far."""
        ...

    async def write(self, data: bytes) -> None:
        """Take more bytes; raises ContentError as soon as there are too many."""
        ...

    async def restart(self) -> None:
        """Forget every byte taken so far."""
        ...

    async def verify(self) -> None:
        """Raise ContentError unless the bytes taken are the blob."""
        ...
