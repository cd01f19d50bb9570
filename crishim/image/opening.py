"""Putting the image domain together on the drivers it is given."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from crishim.core.clock import boot_id
from crishim.core.tasks import TaskOwner
from crishim.drivers import threads
from crishim.image.credentials import RequestAuth
from crishim.image.platform import host_platform
from crishim.image.ports import FileSystem, ImageRecords
from crishim.image.progress import Progress
from crishim.image.reference import Reference
from crishim.image.service import Images
from crishim.image.settings import ImageSettings
from crishim.image.store.recover import open_store
from crishim.image.tools import ImageTools
from crishim.model.image import ImageRecord

if TYPE_CHECKING:
    from crishim.image.registries import HttpRegistries


@asynccontextmanager
async def opened_images(
    settings: ImageSettings, records: ImageRecords, file_system: FileSystem, owner: TaskOwner, containers: Path
) -> AsyncIterator[Images]:
    """The images of this node, put right after whatever ended the last server; ``owner`` is to end before this does.

    ``containers`` is where containers have their writable layers.
    """
    store = await open_store(settings.root, records, file_system, boot_id(), settings.pinned)
    async with aclosing(_LateRegistries()) as registries:
        images = Images(store, settings, registries, owner, host_platform(), containers)
        await images.start()
        yield images


class _LateRegistries:
    """Registries that are there with the first pull: a server that pulls nothing has no HTTP in its memory."""

    def __init__(self) -> None:
        self._opened: HttpRegistries | None = None

    async def pull(
        self, tools: ImageTools, reference: Reference, auth: RequestAuth | None, progress: Progress
    ) -> ImageRecord:
        if self._opened is None:
            opened = await threads.run(_open)
            self._opened = self._opened or opened  # another pull may have been faster
        return await self._opened.pull(tools, reference, auth, progress)

    async def aclose(self) -> None:
        if self._opened is not None:
            await self._opened.aclose()


def _open() -> HttpRegistries:
    from crishim.image.registries import open_registries  # noqa: PLC0415  # see _LateRegistries

    return open_registries()
