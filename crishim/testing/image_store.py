"""An image store for tests: records in memory, files in a directory."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path

import msgspec

from crishim.model.image import HoldRecord, ImageRecord, LayerRecord
from crishim.testing.cni import Gate
from crishim.testing.failures import Failures


class MemoryImageRecords:
    """Records with the rules of ``crishim.drivers.image_database.ImageDatabase``; they outlive a store made on them.

    ``gate``, when set, holds back every ``delete``.
    """

    def __init__(self) -> None:
        self.failures = Failures()
        self.gate: Gate | None = None
        self.images: dict[str, ImageRecord] = {}
        self.layers: dict[str, LayerRecord] = {}
        self.holds: dict[str, HoldRecord] = {}
        self._write_through()

    async def load_images(self) -> Sequence[ImageRecord]:
        """All images."""
        return list(self.images.values())

    async def load_layers(self) -> Sequence[LayerRecord]:
        """All layers."""
        return list(self.layers.values())

    async def load_holds(self) -> Sequence[HoldRecord]:
        """All holds."""
        return list(self.holds.values())

    async def put(self, *records: ImageRecord | LayerRecord | HoldRecord) -> None:
        """Write or replace records, all or none."""
        self.failures.strike("put")
        for record in records:
            match record:
                case ImageRecord():
                    self.images[record.id] = record
                case LayerRecord():
                    self.layers[record.chain_id] = record
                case HoldRecord():
                    self.holds[record.owner] = record

    async def put_through(self, *records: ImageRecord | LayerRecord | HoldRecord) -> None:
        """As ``put``, for good."""
        await self.put(*records)
        self._write_through()

    async def delete(
        self, *, images: Sequence[str] = (), layers: Sequence[str] = (), holds: Sequence[str] = ()
    ) -> None:
        """Forget records, all or none."""
        if self.gate:
            await self.gate.passage()
        self.failures.strike("delete")
        for key in images:
            self.images.pop(key, None)
        for key in layers:
            self.layers.pop(key, None)
        for key in holds:
            self.holds.pop(key, None)
        if images or layers:
            self._write_through()

    def after_power_loss(self) -> None:
        """Lose what was not written for good, and let every layer be one of an earlier boot."""
        self.images, self.layers, self.holds = deepcopy(self._on_disk)
        for key, layer in self.layers.items():
            self.layers[key] = msgspec.structs.replace(layer, boot_id="an earlier boot")

    def _write_through(self) -> None:
        self._on_disk = deepcopy((self.images, self.layers, self.holds))


class NoSync:
    """Plays the kernel's sync and counts it. ``gate``, when set, holds it back."""

    def __init__(self) -> None:
        self.failures = Failures()
        self.synced: list[Path] = []
        self.gate: Gate | None = None

    async def sync(self, path: Path) -> None:
        """Note it."""
        if self.gate:
            await self.gate.passage()
        self.failures.strike("sync")
        self.synced.append(path)
