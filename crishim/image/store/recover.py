"""Opening the store: what a crash or a loss of power left behind is put right before anyone may ask."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import structlog

from crishim.drivers import threads
from crishim.image.ports import FileSystem, ImageRecords
from crishim.image.store.store import ImageStore
from crishim.model.image import LayerRecord

_log = structlog.get_logger(__name__)


async def open_store(
    root: Path, records: ImageRecords, file_system: FileSystem, boot_id: str, pinned: Collection[str] = ()
) -> ImageStore:
    """The store under ``root``, with every record it shows backed by whole files.

    Half-written blobs and half-made layers are gone, layers without record too. Layers whose files are missing, or
    that were not known to be on the disk when the machine went down, are forgotten: ``incomplete`` names the images
    that need them. ``pinned`` are names of images, in normal form.
    """
    store = ImageStore(root, records, file_system, boot_id, pinned)
    await threads.run(_make_root, root)
    await threads.run(store.blobs.prepare)
    numbers = await threads.run(store.layers.prepare)
    layers = await records.load_layers()
    good = [layer for layer in layers if layer.number in numbers and (layer.synced or layer.boot_id == boot_id)]
    lost = [layer for layer in layers if layer not in good]
    if lost:
        await records.delete(layers=[layer.chain_id for layer in lost])
    strays = numbers - {layer.number for layer in good}
    discarded = await threads.run(store.layers.discard, [store.layers.path(number) for number in strays])
    await threads.run(store.layers.empty, discarded)
    store.index.put(*await records.load_images(), *good, *await records.load_holds())
    _tell(lost, len(strays))
    return store


def incomplete(store: ImageStore) -> list[str]:
    """The ids of images that lack a layer or a document."""
    return [image.id for image in store.index.images.values() if not store.has(image)]


def _make_root(root: Path) -> None:
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    root.chmod(0o700)  # layers hold set-user-id files; nobody but root may reach them


def _tell(lost: list[LayerRecord], strays: int) -> None:
    if lost or strays:
        _log.warning("image.store_repaired", layers_lost=len(lost), directories_removed=strays)
