"""Images as the rest of the program sees them: one method per verb, each a few lines over the module that does it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

import structlog

from crishim.core.errors import NotFoundError
from crishim.core.tasks import TaskOwner
from crishim.core.trying import survive
from crishim.drivers import threads
from crishim.drivers.syscalls import trim_memory
from crishim.image.credentials import RequestAuth
from crishim.image.fs_info import FilesystemUsage, TreeUsage, image_mountpoint, image_usage
from crishim.image.joining import Joined
from crishim.image.layering import Unpacking
from crishim.image.platform import Platform
from crishim.image.progress import Progress
from crishim.image.reference import Reference, parse_reference
from crishim.image.repair import repair
from crishim.image.settings import ImageSettings
from crishim.image.status import ImageRoots, verbose_info
from crishim.image.store.store import ImageStore
from crishim.image.tools import ImageTools, Registries
from crishim.model.image import ImageRecord, ImageRoot

_log = structlog.get_logger(__name__)


class Images:
    """The ImageService of CRI, and what containers need of images."""

    def __init__(
        self,
        store: ImageStore,
        settings: ImageSettings,
        registries: Registries,
        owner: TaskOwner,
        platform: Platform,
        containers: Path,
    ) -> None:
        """``containers`` is where containers have their writable layers."""
        self._store, self._settings, self._registries, self._owner = store, settings, registries, owner
        self._containers, self._roots = TreeUsage(containers, owner), ImageRoots(store)
        self._mountpoint = str(store.root)
        unpacking = Unpacking(store, settings.limits, settings.max_concurrent_unpacks)
        self._tools = ImageTools(store, settings, platform, unpacking, Joined(), WeakValueDictionary())
        self._pulls = Joined()
        self._progress: dict[str, Progress] = {}

    async def start(self) -> None:
        """Make images whole that need it, then tidy up now and then for as long as the server runs."""
        await repair(self._store, self._tools.unpacking, self._settings.limits.max_unpacked_bytes)
        self._mountpoint = await threads.run(image_mountpoint, self._store.root, self._containers.root)
        self._owner.spawn("images tidy", self._tidy_forever())

    async def pull(self, name: str, auth: RequestAuth | None = None) -> str:
        """Pull an image and return its id. A pull of the same name by the same credentials is joined.

        Raises InvalidArgumentError, NotFoundError, UnauthenticatedError, RegistryError, ContentError, LimitError,
        LayerError, DeadlineError (no progress), each saying of what.
        """
        reference = parse_reference(name)
        return await self._pulls.run(f"pull {reference} {hash(auth)}", lambda: self._pull(reference, auth))

    def progress(self, name: str) -> Progress | None:
        """How far the pull of ``name`` is, None when there is none."""
        return self._progress.get(str(parse_reference(name)))

    def list(self, name: str = "") -> Sequence[ImageRecord]:
        """All images, or the one called ``name``, a repository's all; in the order they came."""
        return self._store.index.matching(name) if name else list(self._store.index.images.values())

    def find(self, name: str) -> ImageRecord | None:
        """The image called ``name`` (id, beginning of one, tag or digest), None when there is none."""
        return self._store.index.find(name)

    async def info(self, image: ImageRecord) -> Mapping[str, Any]:
        """What a verbose status shows beyond the image; values that JSON knows."""
        return await verbose_info(self._store, image)

    async def remove(self, name: str) -> None:
        """Remove an image with all its names, whichever of them ``name`` is, and give its disk back.

        One that is not there is no error. Never refused: what a container stands on stays until that container is
        gone. Source: CRI v1 ``RemoveImage``.
        """
        image = self._store.index.find(name)
        if image is not None:
            await self._store.remove_image(image.id)

    async def usage(self) -> tuple[FilesystemUsage, FilesystemUsage]:
        """What images and what the writable layers of containers take on their file systems."""
        return image_usage(self._store, self._mountpoint), await self._containers()

    async def load(self, archive: Path, name: str = "") -> Sequence[ImageRecord]:
        """Import the images of an OCI or docker archive; ``name`` is for one that has none.

        Raises ArchiveError, ContentError, LayerError, LimitError, and InvalidArgumentError for a name given to several.
        """
        load_archive = await threads.run(_archive_loading)
        records = await load_archive(self._tools, archive, name)
        self._settle_later()
        return records

    async def root(self, reference: str) -> ImageRoot:
        """Layers and configuration of an image by any of its names or its id; raises NotFoundError."""
        image = self._store.index.find(reference)
        if image is None:
            raise NotFoundError(f"image {reference} is not there")
        return await self._roots.root(image)

    async def hold(self, image_id: str, container_id: str) -> ImageRoot:
        """As ``root``; its layers are kept, the image removed or not, with those kept already, until ``release``.

        A crash ends that too, before ``write_hold``. Idempotent. Raises NotFoundError.
        """
        await self._store.hold(container_id, image_id)
        return await self.root(image_id)

    async def write_hold(self, container_id: str) -> None:
        """Let what ``hold`` kept outlive a crash."""
        await self._store.write_hold(container_id)

    async def release(self, container_id: str) -> None:
        """Give back what ``hold`` kept; idempotent."""
        await self._store.release(container_id)

    def holders(self) -> Collection[str]:
        """Whom images are kept for."""
        return self._store.index.holds.keys()

    async def _pull(self, reference: Reference, auth: RequestAuth | None) -> str:
        progress = self._progress[str(reference)] = Progress()
        try:
            record = await self._registries.pull(self._tools, reference, auth, progress)
        finally:
            self._progress.pop(str(reference), None)
        _log.info("image.pulled", image=str(reference), id=record.id, size=record.size, layers=len(record.chain))
        self._settle_later()
        return record.id

    def _settle_later(self) -> None:
        """What need not be waited for: getting layers onto the disk, then giving back what that took: blobs, memory."""
        self._owner.spawn("images settle", self._settle())

    async def _settle(self) -> None:
        await survive(self._flush(), "image.not_settled")
        await threads.run(trim_memory)

    async def _flush(self) -> None:
        await self._store.sync()
        if self._settings.discard_unpacked_layers:
            for image_id in list(self._store.index.images):
                await self._store.discard_packed(image_id)

    async def _tidy_forever(self) -> None:
        """Collect garbage, and try again what a pull could not settle."""
        while True:
            # A full disk, for one, only gets fuller if an error were the end.
            await survive(self._store.collect(self._settings.garbage_grace), "image.not_collected")
            await survive(self._flush(), "image.not_settled")
            await asyncio.sleep(self._settings.collect_every)


def _archive_loading() -> Callable[[ImageTools, Path, str], Awaitable[Sequence[ImageRecord]]]:
    from crishim.image.archive.load import load_archive  # noqa: PLC0415  # few servers ever need it

    return load_archive
