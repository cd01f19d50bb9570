"""RemoveImage: by any name or id the whole image goes, with all its names."""

from __future__ import annotations

from crishim.image.store.store import ImageStore


async def remove_image(store: ImageStore, name: str) -> None:
    """Remove the image called ``name`` and give its disk back. One that is not there is no error.

    Never refused: what a container stands on stays until that container is gone. Source: CRI v1 ``RemoveImage``.
    """
    image = store.index.find(name)
    if image is not None:
        await store.remove_image(image.id)
