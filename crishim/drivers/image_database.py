"""The records of images, layers and holds, in an SQLite file of their own, used by a thread of its own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import msgspec

from crishim.drivers.database import Database, Statement
from crishim.drivers.database_thread import DatabaseThread
from crishim.model.image import HoldRecord, ImageRecord, LayerRecord

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

    def __init__(self, thread: DatabaseThread) -> None:
        self._thread = thread
        self._problems: list[str] = []

    @classmethod
    async def open(cls, path: Path) -> ImageDatabase:
        """Open the file at ``path``; a corrupt one is set aside and a fresh one begun (see ``problems``)."""
        return cls(await DatabaseThread.open("image database", path, _SCHEMA, SCHEMA_VERSION))

    async def close(self) -> None:
        """Close the file, once; further calls raise UnavailableError."""
        await self._thread.close()

    @property
    def problems(self) -> list[str]:
        """What could not be read since the file was opened, in words."""
        return [*self._thread.problems, *self._problems]

    async def load_images(self) -> list[ImageRecord]:
        """All images that can be decoded; another is told in ``problems``: it can be pulled again."""
        return await self._thread.do(lambda database: self._load(database, "images", ImageRecord))

    async def load_layers(self) -> list[LayerRecord]:
        """All layers that can be decoded."""
        return await self._thread.do(lambda database: self._load(database, "layers", LayerRecord))

    async def load_holds(self) -> list[HoldRecord]:
        """All holds that can be decoded."""
        return await self._thread.do(lambda database: self._load(database, "holds", HoldRecord))

    async def put(self, *records: ImageRecord | LayerRecord | HoldRecord) -> None:
        """Write or replace records, all or none."""
        statements = [_put(record) for record in records]
        await self._thread.do(lambda database: database.write("put image records", statements))

    async def put_through(self, *records: ImageRecord | LayerRecord | HoldRecord) -> None:
        """As ``put``, but they and all that was written before outlive a loss of power."""
        statements = [_put(record) for record in records]
        await self._thread.do(lambda database: database.write_through("put image records", statements))

    async def delete(
        self, *, images: Sequence[str] = (), layers: Sequence[str] = (), holds: Sequence[str] = ()
    ) -> None:
        """Forget images by id, layers by chain id and holds by owner, all or none.

        What is forgotten outlives a loss of power, unless it is nothing but holds: no files go after those.
        """
        tables = (("images", images), ("layers", layers), ("holds", holds))
        statements = [(f"DELETE FROM {table} WHERE key = ?", (key,)) for table, keys in tables for key in keys]
        write = Database.write_through if images or layers else Database.write
        await self._thread.do(lambda database: write(database, "delete image records", statements))

    def _load(self, database: Database, table: str, kind: type[Record]) -> list[Record]:
        records: list[Record] = []
        for key, data in database.read(f"load {table}", f"SELECT key, record FROM {table}"):
            try:
                records.append(msgspec.json.decode(data, type=kind))
            except msgspec.DecodeError as error:
                self._problems.append(f"{table}: the record {key} cannot be read: {error}")
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
