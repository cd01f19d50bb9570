"""Builds the image domain."""

from __future__ import annotations

from contextlib import AsyncExitStack

import structlog

from crishim.app.containers import container_layout
from crishim.core.config import Config
from crishim.core.tasks import TaskOwner
from crishim.drivers.filesystems import FileSystemDriver
from crishim.drivers.image_database import ImageDatabase
from crishim.image.configure import image_settings
from crishim.image.opening import opened_images
from crishim.image.service import Images

_log = structlog.get_logger(__name__)


async def open_images(config: Config, owner: TaskOwner, undo: AsyncExitStack) -> Images:
    """The images of this node; they outlive the tasks of ``owner``."""
    settings = image_settings(config)
    records = await ImageDatabase.open(settings.root / "images.db")
    undo.push_async_callback(records.close)
    for problem in records.problems:
        _log.warning("images.problem", problem=problem)
    images = opened_images(settings, records, FileSystemDriver(), owner, container_layout(config).kept)
    return await undo.enter_async_context(images)
