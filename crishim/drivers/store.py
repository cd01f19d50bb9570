"""The records of sandboxes, attachments and containers, in SQLite, written and read by a thread of its own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from crishim.core.errors import InvalidArgumentError
from crishim.drivers.database import Database, Statement
from crishim.drivers.database_thread import DatabaseThread
from crishim.model.attachment import AttachmentRecord
from crishim.model.container import Container
from crishim.model.sandbox import Sandbox

Kind = TypeVar("Kind", Sandbox, AttachmentRecord, Container)
Record = Sandbox | AttachmentRecord | Container

SCHEMA_VERSION = 1

# Raised only when a record of the version before cannot be decoded any more; a new field with a default is no reason.
RECORD_VERSION = 1

_SCHEMA = (
    "CREATE TABLE sandboxes (id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE,"
    " version INTEGER NOT NULL, record BLOB NOT NULL) STRICT",
    "CREATE TABLE attachments (sandbox_id TEXT NOT NULL REFERENCES sandboxes (id) DEFERRABLE INITIALLY DEFERRED,"
    " network TEXT NOT NULL, ifname TEXT NOT NULL, version INTEGER NOT NULL, record BLOB NOT NULL,"
    " PRIMARY KEY (sandbox_id, network, ifname)) STRICT",
    "CREATE TABLE containers (id TEXT PRIMARY KEY, version INTEGER NOT NULL, record BLOB NOT NULL) STRICT",
    "CREATE TABLE quarantine (number INTEGER PRIMARY KEY, source TEXT NOT NULL, key TEXT NOT NULL,"
    " version INTEGER NOT NULL, record BLOB NOT NULL, reason TEXT NOT NULL) STRICT",
)

_PUT_SANDBOX = (
    "INSERT INTO sandboxes (id, name, version, record) VALUES (?, ?, ?, ?)"
    " ON CONFLICT (id) DO UPDATE SET name = excluded.name, version = excluded.version, record = excluded.record"
)
_PUT_ATTACHMENT = (
    "INSERT INTO attachments (sandbox_id, network, ifname, version, record) VALUES (?, ?, ?, ?, ?)"
    " ON CONFLICT (sandbox_id, network, ifname) DO UPDATE SET version = excluded.version, record = excluded.record"
)
_DELETE_ATTACHMENT = "DELETE FROM attachments WHERE sandbox_id = ? AND network = ? AND ifname = ?"
_PUT_CONTAINER = (
    "INSERT INTO containers (id, version, record) VALUES (?, ?, ?)"
    " ON CONFLICT (id) DO UPDATE SET version = excluded.version, record = excluded.record"
)


class Store:
    """Durable records. Each call is one transaction, and calls take effect in the order they are made.

    Every call is finished before a cancellation of it is raised. Raises UnavailableError when the disk fails.
    """

    def __init__(self, thread: DatabaseThread) -> None:
        self._thread = thread

    @classmethod
    async def open(cls, path: Path) -> Store:
        """Open the database file at ``path``; a corrupt one is set aside and a fresh one begun (see ``problems``)."""
        return cls(await DatabaseThread.open("store", path, _SCHEMA, SCHEMA_VERSION))

    async def close(self) -> None:
        """Close the file, once; further calls raise UnavailableError."""
        await self._thread.close()

    @property
    def problems(self) -> list[str]:
        """What could not be read since the store was opened, in words."""
        return self._thread.problems

    async def put(self, *records: Record, without: Sequence[AttachmentRecord] = ()) -> None:
        """Write or replace records and forget the attachments ``without``, known or not, all or none.

        Raises AlreadyExistsError when another sandbox has the reservation, FailedPreconditionError when an
        attachment's sandbox is not there, InvalidArgumentError when a record cannot be written as JSON.
        """
        statements = [_statement(record) for record in records]
        statements += [(_DELETE_ATTACHMENT, (gone.sandbox_id, gone.network, gone.ifname)) for gone in without]
        words = [*(f"put {_name(record)}" for record in records), *(f"forget {_name(gone)}" for gone in without)]
        action = ", ".join(words)
        await self._thread.do(lambda database: database.write(action, statements))

    async def delete_sandbox(self, sandbox_id: str) -> None:
        """Forget a sandbox, if it is known. Raises FailedPreconditionError while it has attachments."""
        statement = ("DELETE FROM sandboxes WHERE id = ?", (sandbox_id,))
        await self._thread.do(lambda database: database.write(f"delete sandbox {sandbox_id}", [statement]))

    async def load_sandboxes(self) -> list[Sandbox]:
        """All sandboxes. One that cannot be decoded goes to the quarantine table and is told in ``problems``."""
        return await self._thread.do(lambda database: _load(database, "sandboxes", ("id",), Sandbox))

    async def load_attachments(self) -> list[AttachmentRecord]:
        """All attachments, also those whose sandbox could not be decoded; their own corruption as for sandboxes."""
        keys = ("sandbox_id", "network", "ifname")
        return await self._thread.do(lambda database: _load(database, "attachments", keys, AttachmentRecord))

    async def put_container(self, container: Container) -> None:
        """As ``put``, for one."""
        await self.put(container)

    async def delete_container(self, container_id: str) -> None:
        """Forget a container, if it is known."""
        statement = ("DELETE FROM containers WHERE id = ?", (container_id,))
        await self._thread.do(lambda database: database.write(f"delete container {container_id}", [statement]))

    async def load_containers(self) -> list[Container]:
        """All containers; corruption as for sandboxes."""
        return await self._thread.do(lambda database: _load(database, "containers", ("id",), Container))


def _load(database: Database, table: str, keys: tuple[str, ...], kind: type[Kind]) -> list[Kind]:
    columns = ", ".join(keys)
    rows = database.read(f"load {table}", f"SELECT rowid, {columns}, version, record FROM {table}")
    records: list[Kind] = []
    for rowid, *key, version, data in rows:
        try:
            records.append(_decode(data, version, kind))
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            _quarantine(database, table, rowid, "/".join(key), (version, data, str(error)))
    return records


def _quarantine(database: Database, table: str, rowid: int, key: str, rest: tuple[int, bytes, str]) -> None:
    insert = "INSERT INTO quarantine (source, key, version, record, reason) VALUES (?, ?, ?, ?, ?)"
    statements: list[Statement] = [
        (insert, (table, key, *rest)),
        (f"DELETE FROM {table} WHERE rowid = ?", (rowid,)),
    ]
    # The attachments of a sandbox stay: they say what has to be deleted.
    database.write_unreferenced(f"quarantine {table} {key}", statements)
    database.problems.append(f"{table} {key}: the record cannot be read and was put aside: {rest[-1]}")


def _statement(record: Record) -> Statement:
    data = _encode(record)
    if isinstance(record, Sandbox):
        return _PUT_SANDBOX, (record.id, record.config.metadata.reservation, RECORD_VERSION, data)
    if isinstance(record, Container):
        return _PUT_CONTAINER, (record.id, RECORD_VERSION, data)
    return _PUT_ATTACHMENT, (record.sandbox_id, record.network, record.ifname, RECORD_VERSION, data)


def _name(record: Record) -> str:
    if isinstance(record, Sandbox):
        return f"sandbox {record.id}"
    if isinstance(record, Container):
        return f"container {record.id}"
    return f"attachment {record.ifname} of sandbox {record.sandbox_id} on {record.network}"


def _encode(record: Record) -> bytes:
    try:
        return msgspec.json.encode(record)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise InvalidArgumentError(f"{_name(record)} cannot be written as JSON: {error}") from error


def _decode(data: Any, version: int, kind: type[Kind]) -> Kind:
    if version > RECORD_VERSION:
        raise ValueError(f"its version is {version}, this program knows {RECORD_VERSION} and older")
    return msgspec.json.decode(data, type=kind)
