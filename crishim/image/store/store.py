"""Changes of the image store: each one transaction, in an order that a crash at any point leaves consistent."""

from __future__ import annotations

import asyncio
import functools
import time
from collections import Counter
from collections.abc import Callable, Collection, Coroutine, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import msgspec

from cni_runtime.tasks import to_the_end
from crishim.core.errors import NotFoundError, UnavailableError
from crishim.drivers import threads
from crishim.image import faultpoints
from crishim.image.digest import Digest
from crishim.image.faultpoints import ImageFault
from crishim.image.ports import FileSystem, ImageRecords
from crishim.image.store.blobs import BlobFiles
from crishim.image.store.index import ImageIndex
from crishim.image.store.layers import LayerFiles
from crishim.model.image import HoldRecord, ImageRecord, LayerRecord

P = ParamSpec("P")
T = TypeVar("T")


def _to_the_end(method: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, Coroutine[Any, Any, T]]:
    """A change is made whole even when its caller is cancelled: records, memory and files must not part."""

    @functools.wraps(method)
    async def run(*args: P.args, **kwargs: P.kwargs) -> T:
        return await to_the_end(asyncio.create_task(method(*args, **kwargs), name=f"images {method.__name__}"))

    return run


@dataclass(frozen=True)
class Usage:
    """What all images together take on disk."""

    bytes: int
    inodes: int


class ImageStore:
    """Blobs, layers and their records. Made by ``recover.open_store``; ``index`` may be read by everyone."""

    def __init__(
        self, root: Path, records: ImageRecords, file_system: FileSystem, boot_id: str, pinned: Collection[str]
    ) -> None:
        self.root = root
        self.blobs, self.layers, self.index = BlobFiles(root), LayerFiles(root), ImageIndex(pinned)
        self._records, self._file_system, self._boot_id = records, file_system, boot_id
        self._pins: Counter[str] = Counter()
        self._lock, self._flushing = asyncio.Lock(), asyncio.Lock()
        self._unflushed: list[LayerRecord] = []

    @contextmanager
    def using(self, *keys: str) -> Iterator[None]:
        """Keep blobs (by digest) and layers (by chain id) from the garbage collector while the body runs."""
        self._pins.update(keys)
        try:
            yield
        finally:
            self._pins.subtract(keys)
            self._pins += Counter()  # drops what is at zero

    def layer_paths(self, chain: Sequence[str]) -> list[Path]:
        """The directories of ``chain``, topmost first, as overlayfs wants them; raises NotFoundError."""
        try:
            return [self.layers.path(self.index.layers[chain_id].number) for chain_id in reversed(chain)]
        except KeyError as exc:
            raise NotFoundError(f"layer {exc.args[0]} is not unpacked") from None

    def has(self, image: ImageRecord) -> bool:
        """Whether all layers and documents of an image are there."""
        return self.index.is_whole(image.chain) and self.blobs.sizes.keys() >= set(image.documents)

    def usage(self) -> Usage:
        """Bytes and inodes of all blobs and layers."""
        layers, blobs = self.index.layers.values(), self.blobs.sizes
        used = sum(blobs.values()) + sum(layer.used_bytes for layer in layers)
        return Usage(used, len(blobs) + sum(layer.inodes for layer in layers))

    @_to_the_end
    async def add_layer(
        self, staged: Path, chain_id: str, diff_id: Digest, *, used_bytes: int, inodes: int, stream_bytes: int
    ) -> None:
        """Let a fully unpacked directory be the layer ``chain_id``: files get their place, then comes the record.

        ``staged`` stays the caller's when this fails, or when the layer is there already.
        """
        async with self._lock:
            if chain_id in self.index.layers:
                return  # containers may stand on it, and nothing would know its directory any more
            record = LayerRecord(
                chain_id=chain_id,
                diff_id=diff_id,
                number=self.layers.next_number(),
                used_bytes=used_bytes,
                inodes=inodes,
                boot_id=self._boot_id,
                created_at=time.time_ns(),
                stream_bytes=stream_bytes,
            )
            await threads.run(self.layers.publish, staged, record.number)
            faultpoints.reach(ImageFault.LAYER_PLACED)
            try:
                await self._put(record)
            except Exception:
                await threads.run(self.layers.withdraw, record.number, staged)
                raise
            self._unflushed.append(record)
            faultpoints.reach(ImageFault.LAYER_RECORDED)

    @_to_the_end
    async def add_image(self, image: ImageRecord) -> ImageRecord:
        """Let ``image`` be known; the record as it is then.

        Raises UnavailableError when a layer or a document of it is not there: it has to be fetched again.
        """
        async with self._lock:
            if not self.has(image):
                raise UnavailableError(f"image {image.id}: parts of it were removed meanwhile")
            records = self.index.with_names(image)
            await self._put(*records)
            faultpoints.reach(ImageFault.IMAGE_RECORDED)
            return records[0]

    @_to_the_end
    async def remove_image(self, image_id: str) -> None:
        """Forget an image with all its names and give back the disk nothing else needs; an unknown one is no error."""
        async with self._lock:
            image = self.index.images.get(image_id)
            if image is None:
                return
            chains = set(image.chain) - self.index.chains_in_use(without=image_id)
            blobs = set(image.blobs) - self.index.blobs_in_use(without=image_id)
            discarded = await self._delete(images=(image_id,), layers=chains, blobs=blobs)
        await self._empty(discarded)

    async def hold(self, owner: str, image_id: str) -> None:
        """Keep the layers of an image, with those it holds already, for ``owner`` until ``release``; idempotent.

        A crash ends that too, before ``write_hold``. Raises NotFoundError when the image is not known.
        """
        async with self._lock:
            image = self.index.images.get(image_id)
            if image is None:
                raise NotFoundError(f"image {image_id} is not there")
            held = self.index.holds.get(owner, HoldRecord(owner, ())).chain
            self.index.put(HoldRecord(owner, tuple(dict.fromkeys((*held, *image.chain)))))

    @_to_the_end
    async def write_hold(self, owner: str) -> None:
        """Let what ``owner`` holds outlive a crash."""
        async with self._lock:
            if held := self.index.holds.get(owner):
                await self._records.put(held)

    @_to_the_end
    async def release(self, owner: str) -> None:
        """End a hold; layers that nothing needs any more are removed. An unknown owner is no error."""
        async with self._lock:
            if owner not in self.index.holds:
                return
            discarded = await self._delete(holds=(owner,), layers=self.index.only_held_by(owner))
        if discarded:
            await self._empty(discarded)

    @_to_the_end
    async def collect(self, grace: float) -> None:
        """Remove layers and blobs that nothing needs and that are older than ``grace`` seconds."""
        async with self._lock:
            before = time.time_ns() - int(grace * 1e9)
            needed = self.index.chains_in_use()
            old = {key for key, layer in self.index.layers.items() if layer.created_at <= before}
            used = self.index.blobs_in_use()
            known = list(self.blobs.sizes)  # threads add blobs meanwhile
            blobs = {digest for digest in known if digest not in used and self.blobs.age(digest) >= grace}
            discarded = await self._delete(layers=old - needed, blobs=blobs)
        await self._empty(discarded)

    @_to_the_end
    async def discard_packed(self, image_id: str) -> None:
        """Give back the packed layers of an image, unless it has unpacked ones that are not yet on the disk."""
        async with self._lock:
            image = self.index.images.get(image_id)
            if image is not None and image.packed and self.index.is_synced(image.chain):
                unpacked = msgspec.structs.replace(image, packed=())
                await self._records.put_through(unpacked)
                self.index.put(unpacked)
                await self._delete(blobs=set(image.packed) - self.index.blobs_in_use())

    @_to_the_end
    async def sync(self) -> None:
        """Make the layers that came since the last time outlive a loss of power, and record that they do.

        A flush that fails is not made again: the kernel tells but once, and to whoever asks first, that something was
        not written. So those layers, and what an earlier server did not come to flush, count for this boot only.
        """
        async with self._flushing:
            flushed, self._unflushed = self._unflushed, []
            if not flushed:
                return
            await self._file_system.sync(self.root)
            try:
                await self._put_synced(flushed)
            except Exception:
                self._unflushed += flushed
                raise

    async def _put_synced(self, layers: Iterable[LayerRecord]) -> None:
        async with self._lock:
            # One that was removed may be there anew, in another directory, which was not flushed.
            still = [layer for layer in layers if self.index.layers.get(layer.chain_id) == layer]
            if still:
                await self._put(*(msgspec.structs.replace(layer, synced=True) for layer in still))

    async def _put(self, *records: ImageRecord | LayerRecord | HoldRecord) -> None:
        await self._records.put(*records)
        self.index.put(*records)

    async def _delete(
        self,
        *,
        images: Sequence[str] = (),
        layers: Iterable[str] = (),
        holds: Sequence[str] = (),
        blobs: Iterable[str] = (),
    ) -> list[Path]:
        """Records first, in one transaction, then names in the file system; what is left is only to be emptied."""
        # Before anything is waited for: from here on a pull sees that they go, and what it sees and uses stays.
        chains = [chain for chain in layers if chain in self.index.layers and chain not in self._pins]
        gone = [self.index.layers.pop(chain) for chain in chains]
        sizes = self.blobs.forget(Digest(blob) for blob in blobs if blob not in self._pins)
        try:
            await self._records.delete(images=images, layers=chains, holds=holds)
        except Exception:
            self.index.put(*gone)
            self.blobs.sizes.update(sizes)
            raise
        faultpoints.reach(ImageFault.REMOVE_RECORDED)
        for image_id in images:
            self.index.images.pop(image_id, None)
        for owner in holds:
            self.index.holds.pop(owner, None)
        numbers = [layer.number for layer in gone]
        discarded = await threads.run(self._discard, numbers, sizes) if numbers or sizes else []
        faultpoints.reach(ImageFault.REMOVE_DISCARDED)
        return discarded

    async def _empty(self, discarded: Sequence[Path]) -> None:
        """Two threads: most of the time is the kernel's."""
        await asyncio.gather(*(threads.run(self.layers.empty, discarded[part::2]) for part in range(2)))

    def _discard(self, numbers: Iterable[int], blobs: Iterable[Digest]) -> list[Path]:
        for digest in blobs:
            self.blobs.remove(digest)
        return self.layers.discard(self.layers.path(number) for number in numbers)
