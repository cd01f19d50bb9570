"""The record of an image, out of what was pulled or imported. Pure but for the clock."""

from __future__ import annotations

import time
from collections.abc import Sequence

from crishim.image.chain import chain_ids
from crishim.image.digest import Digest
from crishim.image.types import ImageConfig, Manifest
from crishim.model.image import ImageRecord


def describe(
    manifest: Manifest,
    config: ImageConfig,
    *,
    digest: Digest,
    manifest_size: int,
    documents: Sequence[str],
    repo_tags: Sequence[str] = (),
    repo_digests: Sequence[str] = (),
) -> ImageRecord:
    """The record of the image whose manifest is ``digest``, of ``manifest_size`` bytes."""
    descriptors = (manifest.config, *manifest.layers)
    return ImageRecord(
        id=manifest.config.digest,
        manifest=digest,
        documents=tuple(dict.fromkeys(documents)),
        packed=tuple(dict.fromkeys(layer.digest for layer in manifest.layers)),
        chain=chain_ids(config.rootfs.diff_ids),
        size=manifest_size + sum(descriptor.size for descriptor in descriptors),
        created_at=time.time_ns(),
        repo_tags=tuple(repo_tags),
        repo_digests=tuple(repo_digests),
        user=config.execution.user,
        labels=config.execution.labels or {},
    )
