"""What bringing an image onto this node works with, and where it is pulled from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol
from weakref import WeakValueDictionary

from crishim.image.credentials import RequestAuth
from crishim.image.joining import Joined
from crishim.image.layering import Unpacking
from crishim.image.platform import Platform
from crishim.image.progress import Progress, Step
from crishim.image.reference import Reference
from crishim.image.settings import ImageSettings
from crishim.image.store.store import ImageStore
from crishim.model.image import ImageRecord


@dataclass(frozen=True)
class ImageTools:
    """What pulls and imports use. ``downloads`` and ``steps`` let pulls share the blobs they want of one source."""

    store: ImageStore
    settings: ImageSettings
    platform: Platform
    unpacking: Unpacking
    downloads: Joined
    steps: WeakValueDictionary[str, Step]


class Registries(Protocol):
    """Every registry that there is."""

    async def pull(
        self, tools: ImageTools, reference: Reference, auth: RequestAuth | None, progress: Progress
    ) -> ImageRecord:
        """Pull an image into the store of ``tools``; raises what ``Images.pull`` does."""
        ...
