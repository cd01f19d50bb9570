"""Making images whole again whose layers a loss of power took: their blobs are there, so no registry is needed.

One that lacks a document was being removed when the power went.
"""

from __future__ import annotations

import structlog

from crishim.core.errors import CrishimError, NotFoundError
from crishim.image.digest import Digest
from crishim.image.errors import ContentError
from crishim.image.layering import Unpacking, plan_layers
from crishim.image.progress import Step
from crishim.image.status import image_config
from crishim.image.store.recover import incomplete
from crishim.image.store.store import ImageStore
from crishim.image.types import Manifest, decode_document
from crishim.model.image import ImageRecord

_log = structlog.get_logger(__name__)


async def repair(store: ImageStore, unpacking: Unpacking, allowed: int) -> None:
    """Unpack again what is missing; an image for which that does not work is removed, so that it is pulled again."""
    for image_id in incomplete(store):
        image = store.index.images[image_id]
        try:
            await _unpack_again(store, unpacking, image, allowed)
            _log.warning("image.repaired", image=image_id)
        except (CrishimError, OSError) as exc:
            _log.warning("image.lost", image=image_id, names=image.names, error=str(exc))
            await store.remove_image(image_id)


async def _unpack_again(store: ImageStore, unpacking: Unpacking, image: ImageRecord, allowed: int) -> None:
    if missing := set(image.documents) - store.blobs.sizes.keys():
        raise NotFoundError(f"blob {missing.pop()} is not there")
    document = decode_document(await store.blobs.read(Digest(image.manifest)), image.manifest)
    if not isinstance(document, Manifest):
        raise ContentError(f"{image.manifest} is not a manifest")
    for layer in plan_layers(document, await image_config(store, image)):
        allowed = await unpacking.unpack(layer, Step(layer.blob.digest, layer.blob.size), allowed)
