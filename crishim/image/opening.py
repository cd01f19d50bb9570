"""Putting the image domain together on the drivers it is given."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from crishim.core.clock import boot_id
from crishim.core.tasks import TaskOwner
from crishim.image.platform import host_platform
from crishim.image.ports import FileSystem, ImageRecords
from crishim.image.registry.retry import Backoff
from crishim.image.registry.transport import Transport
from crishim.image.service import Images
from crishim.image.settings import ImageSettings
from crishim.image.store.recover import open_store


@asynccontextmanager
async def opened_images(
    settings: ImageSettings, records: ImageRecords, file_system: FileSystem, owner: TaskOwner, containers: Path
) -> AsyncIterator[Images]:
    """The images of this node, put right after whatever ended the last server; ``owner`` is to end before this does.

    ``containers`` is where containers have their writable layers.
    """
    store = await open_store(settings.root, records, file_system, boot_id(), settings.pinned)
    async with Transport() as transport:
        images = Images(store, settings, transport, owner, host_platform(), Backoff(), containers)
        await images.start()
        yield images
