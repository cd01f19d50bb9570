"""A database with a thread of its own, so that the event loop never waits for the disk."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from cni_runtime.tasks import to_the_end
from crishim.core.errors import UnavailableError
from crishim.drivers.database import Database

T = TypeVar("T")


class DatabaseThread:
    """Does one thing at a time with a database, in the order of the calls.

    Every call is finished before a cancellation of it is raised.
    """

    def __init__(self, name: str, database: Database, thread: ThreadPoolExecutor) -> None:
        self._name, self._database, self._thread = name, database, thread
        self._closed = False

    @classmethod
    async def open(cls, name: str, path: Path, schema: Sequence[str], version: int) -> DatabaseThread:
        """Open the database file at ``path``: see ``Database``; ``name`` is for the thread and for errors."""
        thread = ThreadPoolExecutor(1, name)
        try:
            return cls(name, await _in(thread, lambda: Database(path, schema, version)), thread)
        except BaseException:
            thread.shutdown(wait=False)
            raise

    async def close(self) -> None:
        """Close the file, once; further calls of ``do`` raise UnavailableError."""
        if not self._closed:
            self._closed = True
            await _in(self._thread, self._database.close)
            self._thread.shutdown(wait=False)

    @property
    def problems(self) -> list[str]:
        """What was wrong with the file, in words."""
        return list(self._database.problems)

    async def do(self, work: Callable[[Database], T]) -> T:
        """The result of ``work``; raises what it raises."""
        if self._closed:
            raise UnavailableError(f"the {self._name} is closed")
        return await _in(self._thread, lambda: work(self._database))


async def _in(thread: ThreadPoolExecutor, work: Callable[[], T]) -> T:
    return await to_the_end(asyncio.get_running_loop().run_in_executor(thread, work))
