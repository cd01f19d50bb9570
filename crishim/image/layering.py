"""Unpacking the layers of an image, one above the other, each once for all who want it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from crishim.drivers import threads
from crishim.image import faultpoints
from crishim.image.chain import chain_ids
from crishim.image.digest import Digest
from crishim.image.errors import ContentError, on_disk
from crishim.image.faultpoints import ImageFault
from crishim.image.joining import Joined, cancellable
from crishim.image.progress import Stage, Step
from crishim.image.settings import Limits
from crishim.image.store.store import ImageStore
from crishim.image.types import Descriptor, ImageConfig, Manifest

if TYPE_CHECKING:
    from crishim.image.unpack.unpacker import Unpacked


@dataclass(frozen=True)
class PlannedLayer:
    """A layer of an image: the blob it comes from and what must become of it."""

    blob: Descriptor
    diff_id: Digest
    chain_id: str
    below: tuple[str, ...]


def plan_layers(manifest: Manifest, config: ImageConfig) -> tuple[PlannedLayer, ...]:
    """The layers of an image, lowest first; the numbers of layers and diff ids are known to be the same."""
    chain = chain_ids(config.rootfs.diff_ids)
    return tuple(
        PlannedLayer(blob, diff_id, chain[position], chain[:position])
        for position, (blob, diff_id) in enumerate(zip(manifest.layers, config.rootfs.diff_ids, strict=True))
    )


class Unpacking:
    """Unpacks blobs of ``store`` into layers of it, at most ``at_once`` at a time."""

    def __init__(self, store: ImageStore, limits: Limits, at_once: int) -> None:
        self._store, self._limits = store, limits
        self._joined, self._slots = Joined(), asyncio.Semaphore(at_once)

    async def unpack(self, layer: PlannedLayer, step: Step, allowed: int) -> int:
        """Make ``layer``, whose blob and lower layers are there, unless it exists.

        Only what comes from the same blob is joined: another's may be no such layer, which must not spoil this one.
        ``allowed`` is how many bytes it may unpack to; returns how many it leaves to the next. Bytes that are read
        count, not only those that are kept. Raises ContentError when the content is not what the image's configuration
        says, LayerError when it cannot be unpacked, LimitError when it is too large.
        """
        if layer.chain_id not in self._store.index.layers:
            step.stage = Stage.UNPACKING
            key = f"unpack {layer.blob.digest} to {layer.chain_id}"
            try:
                await self._joined.run(key, lambda: self._unpack(layer, allowed))
            except BaseException:
                step.stage = Stage.DOWNLOADED  # other pulls share the step: for them nothing is at work any more
                raise
        step.stage = Stage.DONE
        made = self._store.index.layers[layer.chain_id]
        return allowed - max(made.stream_bytes, made.used_bytes)

    async def _unpack(self, layer: PlannedLayer, allowed: int) -> None:
        files = self._store.layers
        lower = self._store.layer_paths(layer.below)
        async with self._slots:
            with on_disk(f"unpack layer {layer.blob.digest}"):
                staged = files.stage()
            try:
                await self._fill(layer, staged, lower, allowed)
            finally:
                await threads.run(lambda: files.empty(files.discard([staged])))

    async def _fill(self, layer: PlannedLayer, staged: Path, lower: Sequence[Path], allowed: int) -> None:
        blob = self._store.blobs.path(layer.blob.digest)

        def unpack(cancel: threading.Event) -> Unpacked:
            from crishim.image.unpack.unpacker import unpack_layer  # noqa: PLC0415  # only new layers need it

            return unpack_layer(blob, staged, lower, self._limits, cancel, allowed=allowed)

        made = await cancellable(unpack)
        if made.diff_id != layer.diff_id:
            message = f"layer {layer.blob.digest}: unpacks to {made.diff_id}, the image says {layer.diff_id}"
            raise ContentError(message)
        faultpoints.reach(ImageFault.LAYER_UNPACKED)
        await self._store.add_layer(
            staged,
            layer.chain_id,
            layer.diff_id,
            used_bytes=made.used_bytes,
            inodes=made.inodes,
            stream_bytes=made.stream_bytes,
        )
