"""ImageStatus: one image by any of its names, and what its configuration says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from crishim.image.digest import Digest
from crishim.image.store.store import ImageStore
from crishim.image.types import ImageConfig, decode_config
from crishim.model.image import ImageRecord, ImageRoot


async def image_config(store: ImageStore, image: ImageRecord) -> ImageConfig:
    """The configuration of an image: what its containers run, as whom, with which environment."""
    return decode_config(await store.blobs.read(Digest(image.id)), image.id)


async def image_root(store: ImageStore, image: ImageRecord) -> ImageRoot:
    """What a container is made from."""
    document = msgspec.json.decode(await store.blobs.read(Digest(image.id)), type=dict[str, Any])
    layers = tuple(str(path) for path in store.layer_paths(image.chain))
    return ImageRoot(image.id, (*image.repo_digests, image.id)[0], layers, document.get("config") or {})


async def verbose_info(store: ImageStore, image: ImageRecord) -> Mapping[str, Any]:
    """What a verbose status shows: the configuration blob as it is, layers and blobs."""
    spec = msgspec.json.decode(await store.blobs.read(Digest(image.id)))
    return {
        "chainID": image.chain[-1] if image.chain else "",
        "imageSpec": spec,
        "manifest": image.manifest,
        "labels": image.labels,
    }


def parse_user(user: str) -> tuple[int | None, str]:
    """The uid or the name that an image's ``User`` has before any colon; a number is a uid.

    Source: CRI v1 ``Image.uid`` and ``Image.username``: one of them is set, none for an image without user.
    """
    name = user.partition(":")[0]
    if not name:
        return None, ""
    return (int(name), "") if name.isdecimal() and name.isascii() else (None, name)
