"""A process to be killed: pulls and removes images without end. ``python -m tests.netns.image.crasher ROOT NAME…``"""

from __future__ import annotations

import asyncio
import random
import sys
from pathlib import Path

from crishim.core.tasks import TaskOwner
from crishim.drivers.filesystems import FileSystemDriver
from crishim.drivers.image_database import ImageDatabase
from crishim.image.opening import opened_images
from crishim.image.settings import ImageSettings


async def main(root: Path, names: list[str]) -> None:
    """Never ends by itself. Says so when it has begun."""
    records = await ImageDatabase.open(root / "images.db")
    owner = TaskOwner()
    async with opened_images(ImageSettings(root=root), records, FileSystemDriver(), owner, root / "none") as images:
        print("begun", flush=True)
        while True:
            name = random.choice(names)
            both = (images.pull(name), images.pull(random.choice(names)))
            await asyncio.gather(*both)
            await images.remove(name)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2:]))
