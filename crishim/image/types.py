"""Descriptors, manifests, indexes and image configurations, typed.

Source: OCI image specification 1.1 and Docker's image manifest version 2, schema 2, which differ in names only.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Literal, TypeVar

import msgspec
from msgspec import Struct, field

from crishim.image.digest import Digest, require_digest
from crishim.image.errors import ContentError, LimitError
from crishim.image.platform import Platform
from crishim.image.settings import Limits

MAX_NESTING = 4
"""How many documents are followed, each an index that leads to the next, until there is a manifest."""

ContentKind = Literal["manifests", "blobs"]
"""Where a registry serves content: manifests and indexes, or configurations and layers."""

_MAX_USER = 511  # characters: a user and a group, as long as Linux lets names be (LOGIN_NAME_MAX), and the colon

_T = TypeVar("_T")


class MediaType:
    """Names of what a registry serves."""

    OCI_INDEX = "application/vnd.oci.image.index.v1+json"
    OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
    OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
    OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"
    DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
    DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
    DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
    DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar"
    DOCKER_FOREIGN = "application/vnd.docker.image.rootfs.foreign.diff.tar"
    OCI_FOREIGN = "application/vnd.oci.image.layer.nondistributable.v1.tar"


INDEX_TYPES = frozenset({MediaType.OCI_INDEX, MediaType.DOCKER_LIST})
MANIFEST_TYPES = frozenset({MediaType.OCI_MANIFEST, MediaType.DOCKER_MANIFEST})
CONFIG_TYPES = frozenset({MediaType.OCI_CONFIG, MediaType.DOCKER_CONFIG})
ACCEPT = ", ".join(
    (MediaType.OCI_INDEX, MediaType.OCI_MANIFEST, MediaType.DOCKER_LIST, MediaType.DOCKER_MANIFEST, "*/*;q=0.1")
)


class Compression(StrEnum):
    """How a layer's tar stream is packed."""

    NONE = "none"
    GZIP = "gzip"
    ZSTD = "zstd"


_LAYER_SUFFIXES = {
    "": Compression.NONE,
    "+gzip": Compression.GZIP,
    ".gzip": Compression.GZIP,
    "+zstd": Compression.ZSTD,
    ".zstd": Compression.ZSTD,
}


class Descriptor(Struct, frozen=True, rename="camel", omit_defaults=True):
    """A pointer to content: what it is, its digest and its size in bytes, both checked by ``decode_document``."""

    media_type: str
    digest: Digest
    size: int
    platform: Platform | None = None
    annotations: Mapping[str, str] = field(default_factory=dict)


class Manifest(Struct, frozen=True, rename="camel", omit_defaults=True):
    """One image for one platform."""

    schema_version: int
    config: Descriptor
    layers: tuple[Descriptor, ...]
    media_type: str = ""
    annotations: Mapping[str, str] = field(default_factory=dict)


class Index(Struct, frozen=True, rename="camel"):
    """Several manifests, mostly one per platform."""

    schema_version: int
    manifests: tuple[Descriptor, ...]
    media_type: str = ""
    annotations: Mapping[str, str] = field(default_factory=dict)


class RootFS(Struct, frozen=True):
    """The digests of the uncompressed layers, lowest first."""

    type: str
    diff_ids: tuple[Digest, ...]


class ExecutionConfig(Struct, frozen=True, rename="pascal"):
    """What a container made from the image runs, and how."""

    user: str = ""
    env: tuple[str, ...] | None = None
    entrypoint: tuple[str, ...] | None = None
    cmd: tuple[str, ...] | None = None
    working_dir: str = ""
    volumes: Mapping[str, Any] | None = None
    labels: Mapping[str, str] | None = None
    stop_signal: str = ""


class ImageConfig(Struct, frozen=True):
    """The configuration blob of an image; its digest is the image id."""

    rootfs: RootFS
    architecture: str = ""
    os: str = ""
    variant: str = ""
    created: str | None = None
    config: ExecutionConfig | None = None

    @property
    def execution(self) -> ExecutionConfig:
        """The execution part, empty when the image has none."""
        return self.config or ExecutionConfig()

    @property
    def platform(self) -> Platform:
        """What the image was built for."""
        return Platform(self.architecture, self.os, self.variant)


class _Probe(Struct, rename="camel"):
    """Just enough of a document to know what it is."""

    schema_version: int = 0
    media_type: str = ""
    manifests: msgspec.Raw = msgspec.Raw()
    layers: msgspec.Raw = msgspec.Raw()
    fs_layers: msgspec.Raw = msgspec.Raw()

    def has(self, key: str) -> bool:
        """Whether the document has the key, with a value."""
        return bytes(getattr(self, key)) not in (b"", b"null")


def decode_document(body: bytes, what: str) -> Manifest | Index:
    """A manifest or an index out of ``body``; ``what`` names it in errors.

    Raises ContentError when it is neither, is both (a known trick), has a schema this program does not read, or is
    called something else by its media type.
    """
    probe = decode(body, _Probe, what)
    if probe.has("fs_layers") or probe.schema_version == 1:
        raise ContentError(f"{what}: image manifest schema 1 is not supported; it was deprecated in 2019")
    if probe.has("manifests") and probe.has("layers"):
        raise ContentError(f"{what}: has both 'manifests' and 'layers', so it is neither a manifest nor an index")
    is_index = probe.has("manifests")
    if probe.media_type in (MANIFEST_TYPES if is_index else INDEX_TYPES):
        raise ContentError(f"{what}: is called {probe.media_type}, but its content is the other kind")
    return _checked_index(body, what) if is_index else _checked_manifest(body, what)


def _checked_index(body: bytes, what: str) -> Index:
    index = decode(body, Index, what)
    for descriptor in index.manifests:
        _check_descriptor(descriptor, what)
    return index


def _checked_manifest(body: bytes, what: str) -> Manifest:
    manifest = decode(body, Manifest, what)
    for descriptor in (manifest.config, *manifest.layers):
        _check_descriptor(descriptor, what)
    if manifest.config.media_type not in CONFIG_TYPES:
        kind = manifest.config.media_type
        raise ContentError(f"{what}: holds an artifact of type {kind!r}, not a container image")
    for layer in manifest.layers:
        layer_compression(layer)
    return manifest


def _check_descriptor(descriptor: Descriptor, what: str) -> None:
    require_digest(descriptor.digest, what)
    if descriptor.size < 0:
        raise ContentError(f"{what}: {descriptor.digest} has a negative size")


def decode_config(body: bytes, digest: str) -> ImageConfig:
    """An image configuration.

    Raises ContentError when it is not one, and LimitError for a user that no list of images could bear.
    """
    what = f"image configuration {digest}"
    config = decode(body, ImageConfig, what)
    if (length := len(config.execution.user)) > _MAX_USER:
        raise LimitError(f"{what}: config.User: {length} characters, at most {_MAX_USER} are allowed")
    for diff_id in config.rootfs.diff_ids:
        require_digest(diff_id, what)
    return config


def layer_compression(layer: Descriptor) -> Compression:
    """How ``layer`` is packed; raises ContentError for a foreign layer and for what is no layer at all."""
    base = layer.media_type
    if base.startswith((MediaType.DOCKER_FOREIGN, MediaType.OCI_FOREIGN)):
        raise ContentError(f"layer {layer.digest}: foreign layers ({base}) are not pulled")
    for prefix in (MediaType.OCI_LAYER, MediaType.DOCKER_LAYER):
        if base.startswith(prefix) and base[len(prefix) :] in _LAYER_SUFFIXES:
            return _LAYER_SUFFIXES[base[len(prefix) :]]
    raise ContentError(f"layer {layer.digest}: media type {base!r} is not a tar layer")


def check_limits(manifest: Manifest, limits: Limits, what: str) -> None:
    """Raise LimitError before anything is downloaded when ``manifest`` promises too much."""
    if len(manifest.layers) > limits.max_layers:
        raise LimitError(f"{what}: {len(manifest.layers)} layers, at most {limits.max_layers} are allowed")
    if manifest.config.size > limits.max_document_bytes:
        raise LimitError(f"{what}: the configuration has {manifest.config.size} bytes, more than allowed")
    total = sum(layer.size for layer in manifest.layers)
    if total > limits.max_image_bytes:
        raise LimitError(f"{what}: {total} bytes to download, at most {limits.max_image_bytes} are allowed")


def check_layers(manifest: Manifest, config: ImageConfig, what: str) -> None:
    """Raise ContentError unless every layer has exactly one uncompressed digest."""
    diff_ids, layers = len(config.rootfs.diff_ids), len(manifest.layers)
    if diff_ids != layers:
        raise ContentError(f"{what}: {layers} layers but {diff_ids} diff ids in the configuration")


def decode(body: bytes, kind: type[_T], what: str) -> _T:
    """JSON as ``kind``; raises ContentError, naming ``what``, when it is not that."""
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise ContentError(f"{what}: not valid: {exc}") from exc
