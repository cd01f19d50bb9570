"""One SQLite file, used by one thread of one process: opened, checked, set aside when it is corrupt.

What SQLite promises with a write-ahead log and ``synchronous=NORMAL``: a process that dies loses nothing that was
committed; a machine that loses power may lose the last transactions, never a part of one.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from crishim.core.errors import AlreadyExistsError, CrishimError, FailedPreconditionError, UnavailableError

Statement = tuple[str, tuple[Any, ...]]

_MAGIC = b"SQLite format 3\0"
_CORRUPT = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


class Database:
    """A connection to the file at ``path``; ``problems`` says what was wrong with what was found there."""

    def __init__(self, path: Path, schema: Sequence[str], version: int) -> None:
        """Open or make the file; ``schema`` makes the tables of a new one, ``version`` is that of the schema.

        A file that is empty, corrupt or not a database of ours is renamed to ``NAME.corrupt-N``. Raises
        UnavailableError when it cannot be opened or another process uses it, FailedPreconditionError when a
        newer program wrote it.
        """
        self.problems: list[str] = []
        self._path = path
        with ExitStack() as undo:
            try:
                path.parent.mkdir(0o700, parents=True, exist_ok=True)
                self._lock = _lock(path)
                undo.callback(os.close, self._lock)
                self._connection = self._open(schema, version)
            except (OSError, sqlite3.Error) as error:
                raise UnavailableError(f"database {path}: {error}") from error
            undo.pop_all()

    def close(self) -> None:
        """Fold the log into the file and let go of it."""
        try:
            self._connection.close()
        finally:
            os.close(self._lock)

    def write(self, action: str, statements: Sequence[Statement]) -> None:
        """Execute ``statements`` in one transaction; ``action`` names it in the errors.

        Raises AlreadyExistsError when a unique name is taken, FailedPreconditionError when a reference would dangle.
        """
        try:
            _execute(self._connection, statements)
        except sqlite3.Error as error:
            raise _explained(error, f"database {self._path}: {action}") from error

    def read(self, action: str, sql: str, arguments: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        """All rows of a query; ``action`` names it in the errors."""
        try:
            return self._connection.execute(sql, arguments).fetchall()
        except sqlite3.Error as error:
            raise _explained(error, f"database {self._path}: {action}") from error

    def write_through(self, action: str, statements: Sequence[Statement]) -> None:
        """As ``write``, but this and all that was written before outlive a loss of power."""
        with self._set_to("synchronous", "FULL", "NORMAL"):
            self.write(action, statements)

    def write_unreferenced(self, action: str, statements: Sequence[Statement]) -> None:
        """As ``write``, but references may be left dangling."""
        with self._set_to("foreign_keys", "OFF", "ON"):
            self.write(action, statements)

    @contextmanager
    def _set_to(self, pragma: str, value: str, usual: str) -> Iterator[None]:
        self._connection.execute(f"PRAGMA {pragma} = {value}")
        try:
            yield
        finally:
            self._connection.execute(f"PRAGMA {pragma} = {usual}")

    def _open(self, schema: Sequence[str], version: int) -> sqlite3.Connection:
        if damage := _obvious_damage(self._path):
            self._set_aside(damage)
        try:
            return self._connect(schema, version)
        except sqlite3.DatabaseError as error:
            if not _is_corrupt(error):
                raise
            self._set_aside(str(error))
        return self._connect(schema, version)

    def _connect(self, schema: Sequence[str], version: int) -> sqlite3.Connection:
        os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        connection = sqlite3.connect(self._path, isolation_level=None)
        try:
            found = self._check(connection, version)
            connection.text_factory = _lenient_text
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.execute("PRAGMA foreign_keys = ON")
            if found == 0:
                _execute(connection, [(sql, ()) for sql in (*schema, f"PRAGMA user_version = {version}")])
        except BaseException:
            connection.close()
            raise
        return connection

    def _check(self, connection: sqlite3.Connection, version: int) -> int:
        """The version of the schema in the file, 0 for a new one; changes nothing."""
        (verdict,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
        (found,) = connection.execute("PRAGMA user_version").fetchone()
        (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        if verdict != "ok":
            raise _CorruptError(str(verdict))
        if found == 0 and tables:
            raise _CorruptError("it is a database of another program")
        if found > version:
            message = f"database {self._path}: its version is {found}, this program knows {version} and older"
            raise FailedPreconditionError(message)
        return int(found)

    def _set_aside(self, reason: str) -> None:
        number = 1
        while (aside := self._path.with_name(f"{self._path.name}.corrupt-{number}")).exists():
            number += 1
        # The log goes first: it must never meet the fresh file.
        for suffix in ("-wal", "-shm", ""):
            source = Path(f"{self._path}{suffix}")
            if source.exists():
                source.rename(f"{aside}{suffix}")
        self.problems.append(f"database {self._path} could not be used and is now {aside.name}: {reason}")


class _CorruptError(sqlite3.DatabaseError):
    """Found by our own check, not by SQLite."""


def _obvious_damage(path: Path) -> str:
    """What a look at the first bytes tells; asked first because SQLite would remove the log of such a file."""
    if not path.is_file():
        return ""
    with path.open("rb") as file:
        begin = file.read(len(_MAGIC))
    if not begin:
        return "the file is empty"
    return "" if begin == _MAGIC else "the file is not a database"


def _is_corrupt(error: sqlite3.DatabaseError) -> bool:
    # The low byte is the primary error code.
    return isinstance(error, _CorruptError) or getattr(error, "sqlite_errorcode", 0) & 0xFF in _CORRUPT


def _lock(path: Path) -> int:
    handle = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        raise UnavailableError(f"database {path}: another process uses it") from None
    return handle


def _execute(connection: sqlite3.Connection, statements: Sequence[Statement]) -> None:
    if len(statements) == 1:  # it is a transaction by itself
        connection.execute(*statements[0])
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        for sql, arguments in statements:
            connection.execute(sql, arguments)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # some errors have rolled it back already
            connection.execute("ROLLBACK")
        raise


def _explained(error: sqlite3.Error, action: str) -> CrishimError:
    match getattr(error, "sqlite_errorname", ""):
        case "SQLITE_CONSTRAINT_UNIQUE":
            return AlreadyExistsError(f"{action}: the name is taken")
        case "SQLITE_CONSTRAINT_FOREIGNKEY":
            return FailedPreconditionError(f"{action}: a record would refer to one that is not there")
        case _:
            return UnavailableError(f"{action}: {error}")


def _lenient_text(data: bytes) -> str:
    # A damaged key must not hide every other row.
    return data.decode(errors="replace")
