"""What of the records about images outlives a loss of power."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from crishim.drivers.image_database import ImageDatabase
from crishim.model.image import HoldRecord
from crishim.testing.image_service import image_record

pytestmark = pytest.mark.anyio

NORMAL, FULL = 1, 2


def note_how_it_is_written(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE notes (synchronous INTEGER)")
        for table, event in (("images", "INSERT"), ("images", "DELETE"), ("holds", "INSERT"), ("holds", "DELETE")):
            note = "INSERT INTO notes SELECT synchronous FROM pragma_synchronous"
            connection.execute(f"CREATE TRIGGER {table}_{event} AFTER {event} ON {table} BEGIN {note}; END")


async def test_what_files_go_after_is_written_through(tmp_path: Path) -> None:
    path = tmp_path / "db"
    await (await ImageDatabase.open(path)).close()
    note_how_it_is_written(path)
    image, hold = image_record(1), HoldRecord("container", ())
    database = await ImageDatabase.open(path)
    await database.put(image)
    await database.delete(images=[image.id])
    await database.put_through(image)
    await database.put(hold)
    await database.delete(holds=[hold.owner])
    await database.close()
    with closing(sqlite3.connect(path)) as connection:
        notes = [level for (level,) in connection.execute("SELECT synchronous FROM notes ORDER BY rowid")]
    assert notes == [NORMAL, FULL, FULL, NORMAL, NORMAL]
