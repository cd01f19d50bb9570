"""Bringing the images of an archive into the store, checked like those of a registry."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import msgspec

from crishim.core.errors import InvalidArgumentError
from crishim.drivers import threads
from crishim.image.archive.file import ArchiveFile
from crishim.image.archive.layout import DockerImage, OciImage, blob_member, read_layout
from crishim.image.choosing import choose_entry
from crishim.image.describe import describe
from crishim.image.digest import Digest, digest_of
from crishim.image.errors import ArchiveError, LimitError
from crishim.image.layering import plan_layers
from crishim.image.progress import Step
from crishim.image.reference import parse_reference
from crishim.image.tools import ImageTools
from crishim.image.types import (
    MAX_NESTING,
    Compression,
    Descriptor,
    Manifest,
    MediaType,
    check_layers,
    check_limits,
    decode_config,
    decode_document,
)
from crishim.image.unpack.decompress import sniff
from crishim.model.image import ImageRecord

_SUFFIX = {Compression.NONE: "", Compression.GZIP: "+gzip", Compression.ZSTD: "+zstd"}


async def load_archive(tools: ImageTools, path: Path, name: str = "") -> Sequence[ImageRecord]:
    """Import every image of the archive at ``path``; ``name`` goes to its only image, whatever the archive calls it.

    Raises ArchiveError, ContentError, LayerError, LimitError, and InvalidArgumentError for a name given to several.
    """
    limits = tools.settings.limits
    archive = await threads.run(ArchiveFile, path, tools.store.root, limits.max_unpacked_bytes)
    with archive:
        images = await threads.run(read_layout, archive, limits.max_document_bytes)
        if name and len(images) != 1:
            raise InvalidArgumentError(f"archive {path}: holds {len(images)} images, so one name does not do")
        return [await _Import(tools, archive).run(image, name) for image in images]


class _Import:
    """One image on its way from the archive to the store."""

    def __init__(self, tools: ImageTools, archive: ArchiveFile) -> None:
        self._tools, self._store, self._archive = tools, tools.store, archive
        self._limits = tools.settings.limits
        self._pins = ExitStack()
        self._documents: list[str] = []

    async def run(self, image: OciImage | DockerImage, name: str) -> ImageRecord:
        """Blobs, layers, record, in that order."""
        with self._pins:
            if isinstance(image, OciImage):
                names: Sequence[str] = (name or image.name,)
                digest, manifest = await self._oci(image.target)
            else:
                names = (name,) if name else image.repo_tags or ()
                digest, manifest = await self._docker(image)
            return await self._finish(digest, manifest, [parse_reference(text).repo_tag for text in names if text])

    async def _finish(self, digest: Digest, manifest: Manifest, tags: Sequence[str | None]) -> ImageRecord:
        what = f"archive image {manifest.config.digest}"
        config = decode_config(await self._store.blobs.read(manifest.config.digest), manifest.config.digest)
        check_layers(manifest, config, what)
        allowed = self._limits.max_unpacked_bytes
        for layer in plan_layers(manifest, config):
            self._pins.enter_context(self._store.using(layer.chain_id))
            step = Step(layer.blob.digest, layer.blob.size)
            allowed = await self._tools.unpacking.unpack(layer, step, allowed)
        record = describe(
            manifest,
            config,
            digest=digest,
            manifest_size=self._store.blobs.sizes[digest],
            documents=self._documents,
            repo_tags=[tag for tag in tags if tag],
        )
        return await self._store.add_image(record)

    async def _oci(self, target: Descriptor) -> tuple[Digest, Manifest]:
        """Manifest, configuration and layers that ``target`` leads to for this platform."""
        digest, manifest = await self._manifest(target)
        check_limits(manifest, self._limits, f"archive blob {digest}")
        await self._document(manifest.config)
        self._documents.append(manifest.config.digest)
        for layer in manifest.layers:
            await self._copy(layer.digest, layer.size, blob_member(layer.digest))
        return digest, manifest

    async def _manifest(self, target: Descriptor) -> tuple[Digest, Manifest]:
        """The manifest for this platform, through any index on the way."""
        for _ in range(MAX_NESTING):
            document = decode_document(await self._document(target), f"archive blob {target.digest}")
            self._documents.append(target.digest)
            if isinstance(document, Manifest):
                return target.digest, document
            chosen = await choose_entry(self._tools.platform, document, lambda _, entry: self._document(entry))
            if chosen is None:
                raise ArchiveError(f"archive: {target.digest} has no image for {self._tools.platform}")
            target = chosen
        raise ArchiveError(f"archive: more than {MAX_NESTING} indexes inside each other")

    async def _docker(self, image: DockerImage) -> tuple[Digest, Manifest]:
        """The same of an entry of manifest.json; the manifest is made here, for the archive has none."""
        body = await threads.run(self._archive.read, image.config, self._limits.max_document_bytes)
        config = Descriptor(MediaType.OCI_CONFIG, digest_of(body), len(body))
        if len(image.layers) > self._limits.max_layers:  # each is read to find its digest, however often it is named
            raise LimitError(f"archive image {image.config}: {len(image.layers)} layers, more than allowed")
        layers = [await self._docker_layer(member) for member in image.layers]
        manifest = Manifest(2, config, tuple(layers), MediaType.OCI_MANIFEST)
        check_limits(manifest, self._limits, f"archive image {image.config}")
        encoded = msgspec.json.encode(manifest)
        for content in (body, encoded):
            await self._keep(content, digest_of(content))
            self._documents.append(digest_of(content))
        return digest_of(encoded), manifest

    async def _docker_layer(self, member: str) -> Descriptor:
        digest, compression = await threads.run(self._inspect, member)
        size = self._archive.size(member)
        await self._copy(digest, size, member)
        return Descriptor(MediaType.OCI_LAYER + _SUFFIX[compression], digest, size)

    def _inspect(self, member: str) -> tuple[Digest, Compression]:
        hashed, first = hashlib.sha256(), b""
        for chunk in self._archive.chunks(member):
            first = first or chunk[:16]
            hashed.update(chunk)
        return Digest(f"sha256:{hashed.hexdigest()}"), sniff(first)

    async def _document(self, target: Descriptor) -> bytes:
        body = await threads.run(self._archive.read, blob_member(target.digest), self._limits.max_document_bytes)
        await self._keep(body, target.digest)
        return body

    async def _keep(self, content: bytes, digest: Digest) -> None:
        self._pins.enter_context(self._store.using(digest))
        await self._store.blobs.add(content, digest)

    async def _copy(self, digest: Digest, size: int, member: str) -> None:
        self._pins.enter_context(self._store.using(digest))
        if digest in self._store.blobs.sizes:
            return
        async with self._store.blobs.incoming(digest, size) as writer:
            chunks: Iterator[bytes] = self._archive.chunks(member)
            while (chunk := await threads.run(next, chunks, None)) is not None:
                await writer.write(chunk)
            await writer.verify()
            await writer.commit()
