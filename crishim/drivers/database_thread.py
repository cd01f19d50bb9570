"""A database with a thread of its own, so that the event loop never waits for the disk."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from crishim.core.errors import UnavailableError
from crishim.drivers.database import Database
from crishim.drivers.threads import Thread

T = TypeVar("T")


class DatabaseThread:
    """Does one thing at a time with a database, in the order of the calls.

    Every call is finished before a cancellation of it is raised.
    """

    def __init__(self, name: str, database: Database, thread: Thread) -> None:
        self._name, self._database, self._thread = name, database, thread
        self._closed = False

    @classmethod
    async def open(cls, name: str, path: Path, schema: Sequence[str], version: int) -> DatabaseThread:
        """Open the database file at ``path``: see ``Database``; ``name`` is for the thread and for errors."""
        thread = Thread()
        try:
            return cls(name, await thread.run(lambda: Database(path, schema, version)), thread)
        except BaseException:
            thread.end()
            raise

    async def close(self) -> None:
        """Close the file, once; further calls of ``do`` raise UnavailableError."""
        if not self._closed:
            self._closed = True
            try:
                await self._thread.run(self._database.close)
            finally:
                self._thread.end()

    @property
    def problems(self) -> list[str]:
        """What was wrong with the file, in words."""
        return list(self._database.problems)

    async def do(self, work: Callable[[Database], T]) -> T:
        """The result of ``work``; raises what it raises."""
        if self._closed:
            raise UnavailableError(f"the {self._name} is closed")
        return await self._thread.run(lambda: work(self._database))
