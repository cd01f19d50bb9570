"""What the RPC layer needs of images, as a Protocol."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from crishim.image.credentials import RequestAuth
from crishim.image.fs_info import FilesystemUsage
from crishim.image.progress import Progress
from crishim.model.image import ImageRecord


class ImageService(Protocol):
    """Images. A name is a tag, a digest, an id or the beginning of exactly one id."""

    async def pull(self, name: str, auth: RequestAuth | None = None) -> str:
        """Pull an image and return its id; a pull of the same name that is under way is joined."""
        ...

    def progress(self, name: str) -> Progress | None:
        """How far the pull of ``name`` is, None when there is none."""
        ...

    def list(self, name: str = "") -> Sequence[ImageRecord]:
        """All images, or the one called ``name``."""
        ...

    def find(self, name: str) -> ImageRecord | None:
        """The image called ``name``, None when there is none."""
        ...

    async def info(self, image: ImageRecord) -> Mapping[str, Any]:
        """What a verbose status shows beyond the image; values that JSON knows."""
        ...

    async def remove(self, name: str) -> None:
        """Remove an image with all its names; one that is not there is no error."""
        ...

    async def usage(self) -> tuple[FilesystemUsage, FilesystemUsage]:
        """What images and what containers take on their file systems."""
        ...

    async def load(self, archive: Path, name: str = "") -> Sequence[ImageRecord]:
        """Import the images of an archive."""
        ...
