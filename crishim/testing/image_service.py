"""A stand-in for the image domain, for tests of whatever calls it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio

from crishim.image.credentials import RequestAuth
from crishim.image.fs_info import FilesystemUsage
from crishim.image.progress import Progress, Stage, Step
from crishim.model.image import ImageRecord


def image_record(number: int = 0, **changes: Any) -> ImageRecord:
    """An image that nobody pulled."""
    values = {"id": f"sha256:{number:064x}", "manifest": "m", "documents": (), "packed": (), "chain": (), "size": 5}
    return ImageRecord(**{**values, "created_at": 1, **changes})


@dataclass
class FakeImageService:
    """Keeps images in a dict by name. ``error`` is raised by every call; ``gate`` holds ``pull`` until it is set."""

    images: dict[str, ImageRecord] = field(default_factory=dict)
    error: BaseException | None = None
    gate: anyio.Event | None = None
    cancelled: anyio.Event = field(default_factory=anyio.Event)
    auths: list[RequestAuth | None] = field(default_factory=list)

    async def pull(self, name: str, auth: RequestAuth | None = None) -> str:
        """Add an image."""
        self.auths.append(auth)
        try:
            if self.gate is not None:
                await self.gate.wait()
        except anyio.get_cancelled_exc_class():
            self.cancelled.set()
            raise
        if self.error is not None:
            raise self.error
        self.images[name] = image_record(len(self.images), repo_tags=(name,))
        return self.images[name].id

    def progress(self, name: str) -> Progress | None:
        """One layer, half there."""
        return Progress("layers", [Step("sha256:1", 10, Stage.DOWNLOADING, 5, "reg.io")])

    def list(self, name: str = "") -> Sequence[ImageRecord]:
        """All, or the one."""
        return [image for known, image in self.images.items() if name in ("", known)]

    def find(self, name: str) -> ImageRecord | None:
        """The one."""
        return self.images.get(name)

    async def info(self, image: ImageRecord) -> Mapping[str, Any]:
        """Something that JSON knows."""
        return {"chainID": "c"}

    async def remove(self, name: str) -> None:
        """Forget the one."""
        self.images.pop(name, None)

    async def usage(self) -> tuple[FilesystemUsage, FilesystemUsage]:
        """Numbers that can be told from each other."""
        return FilesystemUsage("/images", 10, 2, 1), FilesystemUsage("/containers", 20, 3, 1)

    async def load(self, archive: Path, name: str = "") -> Sequence[ImageRecord]:
        """One image, of the archive's name unless there is another."""
        return [image_record(7, repo_tags=(name or archive.name,))]
