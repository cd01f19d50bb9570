"""Pulling an image: resolve, manifest, configuration, layers side by side, unpacked in order as they come."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import ExitStack

from crishim.core.errors import NotFoundError
from crishim.image.choosing import choose_entry
from crishim.image.describe import describe
from crishim.image.digest import Digest
from crishim.image.errors import ContentError
from crishim.image.joining import side_by_side
from crishim.image.layering import PlannedLayer, plan_layers
from crishim.image.progress import Progress, Stage, Step
from crishim.image.reference import Reference
from crishim.image.registry.client import RegistryClient
from crishim.image.registry.download import download
from crishim.image.tools import ImageTools
from crishim.image.types import (
    MAX_NESTING,
    ContentKind,
    Descriptor,
    Index,
    Manifest,
    check_layers,
    check_limits,
    decode_config,
    decode_document,
)
from crishim.model.image import ImageRecord

_NO_LIMIT = 1 << 16


class Pull:
    """One pull of one name; ``run`` it once."""

    def __init__(
        self, tools: ImageTools, client: RegistryClient, reference: Reference, progress: Progress, source: str
    ) -> None:
        """``source`` is the same for pulls that are served the same: they share downloads. It holds no secret."""
        self._tools, self._client, self._reference, self._progress = tools, client, reference, progress
        self._source = source
        self._store, self._limits = tools.store, tools.settings.limits
        self._pins = ExitStack()
        self._documents: list[Digest] = []

    async def run(self) -> ImageRecord:
        """The image, pulled, unpacked and known to the store. What was verified stays there if this fails."""
        with self._pins:
            self._progress.doing = f"resolving {self._reference}"
            target = await self._resolve()
            self._progress.doing = f"fetching the manifest of {self._reference}"
            digest, manifest = await self._manifest(target)
            check_limits(manifest, self._limits, str(self._reference))
            self._progress.doing = f"fetching the configuration of {self._reference}"
            body = await self._document("blobs", manifest.config.digest, manifest.config.size)
            self._documents.append(manifest.config.digest)
            config = decode_config(body, manifest.config.digest)
            check_layers(manifest, config, str(self._reference))
            await self._layers(plan_layers(manifest, config))
            self._progress.doing = f"recording {self._reference}"
            record = describe(
                manifest,
                config,
                digest=digest,
                manifest_size=self._store.blobs.sizes[digest],
                documents=self._documents,
                repo_tags=(self._reference.repo_tag,) if self._reference.repo_tag else (),
                repo_digests=(self._reference.repo_digest(target),),
            )
            return await self._store.add_image(record)

    async def _resolve(self) -> Digest:
        resolved = await self._client.resolve()
        if isinstance(resolved, str):
            return resolved
        self._use(resolved.digest)
        await self._store.blobs.add(resolved.body, resolved.digest)
        return resolved.digest

    async def _manifest(self, target: Digest) -> tuple[Digest, Manifest]:
        """The manifest for this platform, through any index on the way."""
        digest, size = target, None
        for _ in range(MAX_NESTING):
            document = decode_document(await self._document("manifests", digest, size), f"{self._reference} {digest}")
            self._documents.append(digest)
            if isinstance(document, Manifest):
                return digest, document
            chosen = await self._choose(document)
            digest, size = chosen.digest, chosen.size
        raise ContentError(f"{self._reference}: more than {MAX_NESTING} indexes inside each other")

    async def _choose(self, index: Index) -> Descriptor:
        platform = self._tools.platform
        chosen = await choose_entry(platform, index, lambda kind, entry: self._document(kind, entry.digest, entry.size))
        if chosen is None:
            offered = ", ".join(str(entry.platform or "something without platform") for entry in index.manifests)
            offered = offered[:500] or "nothing"
            raise NotFoundError(f"{self._reference}: has no image for {platform}; it offers {offered}")
        return chosen

    async def _document(self, kind: ContentKind, digest: Digest, size: int | None) -> bytes:
        """A manifest, index or configuration, from the store if it is there."""
        self._use(digest)
        if self._has(digest, size):
            if digest == self._reference.digest:
                await self._client.confirm()
            return await self._store.blobs.read(digest)
        document = await self._client.document(kind, digest, size)
        await self._store.blobs.add(document.body, digest)
        return document.body

    async def _layers(self, layers: Sequence[PlannedLayer]) -> None:
        for layer in layers:
            self._use(layer.chain_id, layer.blob.digest)
        missing = [layer for layer in layers if layer.chain_id not in self._store.index.layers]
        steps = {layer.chain_id: self._step(layer) for layer in layers}
        for layer in layers:
            if layer not in missing:
                steps[layer.chain_id].stage = Stage.DONE
        self._progress.doing = "layers"
        if not missing:
            return
        slots = asyncio.Semaphore(max(self._tools.settings.max_concurrent_downloads, 0) or _NO_LIMIT)
        arrived = {layer.chain_id: asyncio.Event() for layer in missing}
        fetches = [
            (f"fetch {layer.blob.digest}", self._fetch(layer, steps[layer.chain_id], slots, arrived[layer.chain_id]))
            for layer in missing
        ]
        await side_by_side([*fetches, ("unpack in order", self._unpack(layers, steps, arrived))])

    async def _fetch(self, layer: PlannedLayer, step: Step, slots: asyncio.Semaphore, arrived: asyncio.Event) -> None:
        digest, size = layer.blob.digest, layer.blob.size
        if not self._has(digest, size):
            async with slots:
                key = self._download_key(digest, size)
                await self._tools.downloads.run(key, lambda: self._download(digest, size, step))
        step.offset, step.stage = size, Stage.DOWNLOADED
        arrived.set()

    async def _download(self, digest: Digest, size: int, step: Step) -> None:
        async with self._store.blobs.incoming(digest, size) as writer:
            await download(self._client, digest, size, writer, step)
            await writer.commit()

    async def _unpack(
        self, layers: Sequence[PlannedLayer], steps: dict[str, Step], arrived: dict[str, asyncio.Event]
    ) -> None:
        allowed = self._limits.max_unpacked_bytes
        for layer in layers:  # those that are there count as well: else an image too large would come bit by bit
            if layer.chain_id in arrived:
                await arrived[layer.chain_id].wait()
            allowed = await self._tools.unpacking.unpack(layer, steps[layer.chain_id], allowed)

    def _has(self, digest: Digest, size: int | None) -> bool:
        """Whether the store has the blob; raises ContentError when it is not as long as its descriptor says."""
        known = self._store.blobs.sizes.get(digest)
        if known is not None and size is not None and known != size:
            raise ContentError(f"blob {digest}: it has {known} bytes, its descriptor says {size}")
        return known is not None

    def _step(self, layer: PlannedLayer) -> Step:
        """The state of a blob, which pulls that share its download share as well."""
        digest, size = layer.blob.digest, layer.blob.size
        step = self._tools.steps.setdefault(self._download_key(digest, size), Step(digest, size))
        self._progress.steps.append(step)
        return step

    def _download_key(self, digest: str, size: int) -> str:
        """Names all that a download's outcome hangs on: a registry or manifest that lies must spoil no other pull."""
        return f"download {digest} of {size} bytes from {self._source}"

    def _use(self, *keys: str) -> None:
        """Keep blobs and layers from the garbage collector until this pull ends."""
        self._pins.enter_context(self._store.using(*keys))
