"""What the kernel does with whole file systems."""

from __future__ import annotations

import os
from pathlib import Path

from crishim.drivers import syscalls, threads
from crishim.drivers.syscalls import system_call


class FileSystemDriver:
    """A call is finished before its cancellation is raised; raises SystemCallError when the kernel refuses."""

    async def sync(self, path: Path) -> None:
        """Return when all that was written to the file system of ``path`` is on the disk. May take long."""
        await threads.run_alone(_sync, path)


def _sync(path: Path) -> None:
    with system_call("syncfs", str(path)):
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            syscalls.syncfs(fd)
        finally:
            os.close(fd)
