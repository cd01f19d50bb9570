"""The named places in the life of an image where a test ends the process (see ``cni_runtime.faults``)."""

from __future__ import annotations

from enum import StrEnum

from cni_runtime import faults


class ImageFault(StrEnum):
    """Every fault point of images, in the order a pull and then a removal meet them."""

    BLOB_WRITTEN = "image.blob.written"
    BLOB_PLACED = "image.blob.placed"
    LAYER_UNPACKED = "image.layer.unpacked"
    LAYER_PLACED = "image.layer.placed"
    LAYER_RECORDED = "image.layer.recorded"
    IMAGE_RECORDED = "image.recorded"
    REMOVE_RECORDED = "image.remove.recorded"
    REMOVE_DISCARDED = "image.remove.discarded"


def reach(point: ImageFault) -> None:
    """Tell that the program has come to ``point``."""
    faults.reach(point.value)
