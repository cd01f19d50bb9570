"""The records of images and of the layers they stand on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct, field


class LayerRecord(Struct, frozen=True, kw_only=True):
    """A layer that is unpacked. ``chain_id`` names it together with every layer below it.

    Its files are in the directory ``number``. ``used_bytes`` and ``inodes`` are what they take on disk,
    ``stream_bytes`` is how long the archive was that they came from. Until ``synced`` they may exist in the kernel's
    memory only, so they count just for the boot ``boot_id``. ``created_at`` is in nanoseconds since the epoch.
    Source of ``chain_id``: OCI image specification, "Image Configuration", section "Layer ChainID".
    """

    chain_id: str
    diff_id: str
    number: int
    used_bytes: int
    inodes: int
    boot_id: str
    created_at: int
    synced: bool = False
    stream_bytes: int = 0


class ImageRecord(Struct, frozen=True, kw_only=True):
    """One image. ``id`` is the digest of its configuration.

    ``manifest`` is the digest of the manifest for this platform. ``documents`` are the blobs that describe the image,
    indexes, manifests and configuration; ``packed`` are its layers as they were sent; ``chain`` the chain ids of what
    they were unpacked to, lowest first. ``size`` counts the bytes of manifest, configuration and packed layers.
    ``user`` is as the configuration has it: empty, name or uid, maybe with a group. ``created_at``: when it came to
    this node, nanoseconds since the epoch. ``pinned``: kubelet shall not collect it; the configuration decides.
    """

    id: str
    manifest: str
    documents: tuple[str, ...]
    packed: tuple[str, ...]
    chain: tuple[str, ...]
    size: int
    created_at: int
    repo_tags: tuple[str, ...] = ()
    repo_digests: tuple[str, ...] = ()
    user: str = ""
    pinned: bool = False
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def blobs(self) -> tuple[str, ...]:
        """Everything of it that is in the blob store."""
        return self.documents + self.packed

    @property
    def names(self) -> tuple[str, ...]:
        """Every name it was pulled or imported by."""
        return self.repo_tags + self.repo_digests


class ImageRoot(Struct, frozen=True):
    """An image as a container needs it: layers for overlayfs, topmost first, and the OCI image ``config`` object.

    ``image_id`` is the digest of the configuration, ``reference`` a name with digest by which the image was pulled, or
    the id where there is none.
    """

    image_id: str
    reference: str
    layers: tuple[str, ...]
    config: Mapping[str, Any]


class HoldRecord(Struct, frozen=True):
    """Layers that must stay because ``owner``, a container, stands on them, whatever happens to the image."""

    owner: str
    chain: tuple[str, ...]
