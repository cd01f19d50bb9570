from __future__ import annotations

from pathlib import Path

import pytest

from cni_runtime import files
from cni_runtime.net.remembered import Remembered


class Reader:
    """Reads files, and notes which."""

    def __init__(self) -> None:
        self.read: list[str] = []

    def __call__(self, path: Path) -> str | None:
        self.read.append(path.name)
        return path.read_text() or None


@pytest.fixture
def reader() -> Reader:
    return Reader()


@pytest.fixture
def remembered(reader: Reader, tmp_path: Path) -> Remembered[str]:
    for name, text in (("b.x", "two"), ("a.x", "one"), ("c.x", ""), ("other", "none")):
        files.replace(tmp_path / name, text.encode())
    return Remembered(".x", reader)


def test_only_what_has_changed_is_read_again(remembered: Remembered[str], reader: Reader, tmp_path: Path) -> None:
    assert remembered.by_name(tmp_path) == remembered.by_name(tmp_path) == {"a.x": "one", "b.x": "two", "c.x": None}
    assert sorted(reader.read) == ["a.x", "b.x", "c.x"]
    files.replace(tmp_path / "b.x", b"new")
    assert remembered.by_name(tmp_path) == {"a.x": "one", "b.x": "new", "c.x": None}
    assert reader.read[3:] == ["b.x"]


def test_what_goes_is_forgotten(remembered: Remembered[str], tmp_path: Path) -> None:
    remembered.by_name(tmp_path)
    (tmp_path / "a.x").unlink()
    assert remembered.by_name(tmp_path) == {"b.x": "two", "c.x": None}
    files.replace(tmp_path / "a.x", b"again")
    assert remembered.by_name(tmp_path) == {"a.x": "again", "b.x": "two", "c.x": None}


def test_no_directory_is_no_files(remembered: Remembered[str], tmp_path: Path) -> None:
    assert remembered.by_name(tmp_path / "nothing") == {}
