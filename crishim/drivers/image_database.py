"""The records of images, layers and holds, in an SQLite file of their own, used by a thread of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import msgspec

from crishim.core.errors import UnavailableError
from crishim.drivers.database import Database, Statement
from crishim.drivers.threads import to_the_end
from crishim.model.image import HoldRecord, ImageRecord, LayerRecord

T = TypeVar("T")
Record = TypeVar("Record", ImageRecord, LayerRecord, HoldRecord)

SCHEMA_VERSION = 1

_SCHEMA = tuple(
    f"CREATE TABLE {table} (key TEXT PRIMARY KEY, record BLOB NOT NULL) STRICT"
    for table in ("images", "layers", "holds")
)
_PUT = "INSERT INTO {} (key, record) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET record = excluded.record"


class ImageDatabase:
    """Durable records about images. Each call is one transaction; calls take effect in the order they are made.

    Every call is finished before a cancellation of it is raised. Raises UnavailableError when the disk fails.
    """

    def __init__(self, database: Database, thread: ThreadPoolExecutor) -> None:
        self._database, self._thread = database, thread
        self._closed = False
        self._problems: list[str] = []

    @classmethod
    async def open(cls, path: Path) -> ImageDatabase:
        """Open the file at ``path``; a corrupt one is set aside and a fresh one begun (see ``problems``)."""
        thread = ThreadPoolExecutor(1, "images")
        try:
            return cls(await _in(thread, lambda: Database(path, _SCHEMA, SCHEMA_VERSION)), thread)
        except BaseException:
            thread.shutdown(wait=False)
            raise

    async def close(self) -> None:
        """Close the file, once; further calls raise UnavailableError."""
        if not self._closed:
            self._closed = True
            await _in(self._thread, self._database.close)
            self._thread.shutdown(wait=False)

    @property
    def problems(self) -> list[str]:
        """What could not be read since the file was opened, in words."""
        return [*self._database.problems, *self._problems]

    async def load_images(self) -> list[ImageRecord]:
        """All images that can be decoded; another is told in ``problems``: it can be pulled again."""
        return await self._do(lambda: self._load("images", ImageRecord))

    async def load_layers(self) -> list[LayerRecord]:
        """All layers that can be decoded."""
        return await self._do(lambda: self._load("layers", LayerRecord))

    async def load_holds(self) -> list[HoldRecord]:
        """All holds that can be decoded."""
        return await self._do(lambda: self._load("holds", HoldRecord))

    async def put(self, *records: ImageRecord | LayerRecord | HoldRecord) -> None:
        """Write or replace records, all or none."""
        statements = [_put(record) for record in records]
        await self._do(lambda: self._database.write("put image records", statements))

    async def delete(
        self, *, images: Sequence[str] = (), layers: Sequence[str] = (), holds: Sequence[str] = ()
    ) -> None:
        """Forget images by id, layers by chain id and holds by owner, all or none."""
        tables = (("images", images), ("layers", layers), ("holds", holds))
        statements = [(f"DELETE FROM {table} WHERE key = ?", (key,)) for table, keys in tables for key in keys]
        await self._do(lambda: self._database.write("delete image records", statements))

    async def _do(self, work: Callable[[], T]) -> T:
        if self._closed:
            raise UnavailableError("the image database is closed")
        return await _in(self._thread, work)

    def _load(self, table: str, kind: type[Record]) -> list[Record]:
        records: list[Record] = []
        for key, data in self._database.read(f"load {table}", f"SELECT key, record FROM {table}"):
            try:
                records.append(msgspec.json.decode(data, type=kind))
            except msgspec.DecodeError as error:
                self._problems.append(f"{table}: the record {key} can not be read: {error}")
        return records


def _put(record: ImageRecord | LayerRecord | HoldRecord) -> Statement:
    match record:
        case ImageRecord():
            table, key = "images", record.id
        case LayerRecord():
            table, key = "layers", record.chain_id
        case HoldRecord():
            table, key = "holds", record.owner
    return _PUT.format(table), (key, msgspec.json.encode(record))


async def _in(thread: ThreadPoolExecutor, work: Callable[[], T]) -> T:
    return await to_the_end(asyncio.get_running_loop().run_in_executor(thread, work))
