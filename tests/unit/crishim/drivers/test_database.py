"""What becomes of the file: made, kept, found corrupt, of another program, of a newer one, in use."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from crishim.core.errors import FailedPreconditionError, UnavailableError
from crishim.drivers.database import Database

SCHEMA = ("CREATE TABLE facts (fact TEXT UNIQUE)",)


def open_database(path: Path, version: int = 1) -> Database:
    return Database(path, SCHEMA, version)


def facts(database: Database) -> list[str]:
    return [fact for (fact,) in database.read("read", "SELECT fact FROM facts ORDER BY fact")]


def add(database: Database, *names: str) -> None:
    database.write("add", [("INSERT INTO facts VALUES (?)", (name,)) for name in names])


def fill(path: Path) -> None:
    with closing(open_database(path)) as database:
        add(database, *(f"{number:01000}" for number in range(100)))


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:9000])


def damage_a_page(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[8192:12288] = b"\xff" * 4096
    path.write_bytes(data)


def other_program(path: Path) -> None:
    path.unlink()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE theirs (a)")


def test_what_was_written_is_there_after_a_restart(tmp_path: Path) -> None:
    for name in ("a", "b"):
        with closing(open_database(tmp_path / "deep/db")) as database:
            add(database, name)
    with closing(open_database(tmp_path / "deep/db")) as database:
        assert (facts(database), database.problems) == (["a", "b"], [])


def test_only_the_owner_may_read_it(tmp_path: Path) -> None:
    with closing(open_database(tmp_path / "db")) as database:
        add(database, "secret")
        assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}


def test_a_transaction_is_all_or_nothing(tmp_path: Path) -> None:
    with closing(open_database(tmp_path / "db")) as database:
        with pytest.raises(Exception, match="the name is taken"):
            add(database, "a", "b", "a")
        add(database, "c")
        assert facts(database) == ["c"]


def test_some_writes_are_to_outlive_a_loss_of_power(tmp_path: Path) -> None:
    statements = [("INSERT INTO facts SELECT synchronous FROM pragma_synchronous", ())]
    with closing(open_database(tmp_path / "db")) as database:
        database.write_through("add", statements)
        database.write("add", statements)
        assert facts(database) == ["1", "2"]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"not a database" * 1000),
        truncate,
        damage_a_page,
        other_program,
    ],
)
def test_a_corrupt_file_is_set_aside_and_told(tmp_path: Path, spoil: Callable[[Path], object]) -> None:
    path = tmp_path / "db"
    for number in (1, 2):
        fill(path)
        spoil(path)
        spoiled = path.read_bytes()
        with closing(open_database(path)) as database:
            assert facts(database) == []
            assert f"is now db.corrupt-{number}" in database.problems[0]
        assert (tmp_path / f"db.corrupt-{number}").read_bytes() == spoiled
        path.unlink()


def test_the_log_of_a_corrupt_file_does_not_meet_the_fresh_one(tmp_path: Path) -> None:
    path = tmp_path / "db"
    path.write_bytes(b"rubbish" * 1000)
    Path(f"{path}-wal").write_bytes(b"log")
    open_database(path).close()
    assert (tmp_path / "db.corrupt-1-wal").read_bytes() == b"log"


def test_a_database_of_a_newer_program_is_left_alone(tmp_path: Path) -> None:
    open_database(tmp_path / "db", version=2).close()
    with pytest.raises(FailedPreconditionError, match="its version is 2, this program knows 1 and older"):
        open_database(tmp_path / "db", version=1)
    open_database(tmp_path / "db", version=2).close()


def test_two_users_are_refused(tmp_path: Path) -> None:
    with closing(open_database(tmp_path / "db")), pytest.raises(UnavailableError, match="another process uses it"):
        open_database(tmp_path / "db")
    open_database(tmp_path / "db").close()


def test_a_place_that_cannot_hold_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(UnavailableError, match=r"database .*file/db: .*[Nn]ot a directory|File exists"):
        open_database(tmp_path / "file/db")
