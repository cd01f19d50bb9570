"""ImageStatus: one image by any of its names, and what its configuration says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from crishim.core.latest import Latest
from crishim.image.digest import Digest
from crishim.image.store.store import ImageStore
from crishim.image.types import ImageConfig, decode_config
from crishim.model.ids import is_id, number_of
from crishim.model.image import ImageRecord, ImageRoot

_KEPT = 16  # images; a configuration has some hundred bytes


async def image_config(store: ImageStore, image: ImageRecord) -> ImageConfig:
    """The configuration of an image: what its containers run, as whom, with which environment."""
    return decode_config(await store.blobs.read(Digest(image.id)), image.id)


class ImageRoots:
    """What containers are made from. The configurations of the last images are kept: they bear their digest's name."""

    def __init__(self, store: ImageStore) -> None:
        self._store = store
        self._configs: Latest[str, Mapping[str, Any]] = Latest(_KEPT)

    async def root(self, image: ImageRecord) -> ImageRoot:
        """The layers and the configuration of an image."""
        config = self._configs.get(image.id)
        if config is None:
            config = await self._read(image)
            self._configs.put(image.id, config)
        layers = tuple(str(path) for path in self._store.layer_paths(image.chain))
        return ImageRoot(image.id, (*image.repo_digests, image.id)[0], layers, config)

    async def _read(self, image: ImageRecord) -> Mapping[str, Any]:
        document = msgspec.json.decode(await self._store.blobs.read(Digest(image.id)), type=dict[str, Any])
        return document.get("config") or {}


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
    """The uid or the name that an image's ``User`` has before any colon, as for containers made of it.

    A number that can be no uid is a name: no container is made as it.

    Source: CRI v1 ``Image.uid`` and ``Image.username``: one of them is set, none for an image without user.
    """
    name = user.partition(":")[0]
    if not name:
        return None, ""
    number = number_of(name)
    return (None, name) if number is None or not is_id(number) else (number, "")
