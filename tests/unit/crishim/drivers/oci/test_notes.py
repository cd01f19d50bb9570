from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from crishim.core.errors import FailedPreconditionError, SystemCallError
from crishim.drivers.oci.notes import Note, Notes
from crishim.drivers.process.identity import ProcessId

NOTE = Note(container_id="c1", program="/usr/bin/crun", systemd_cgroup=False, bundle="/b", log_path="", group="/p/c1")


def reopened(directory: Path) -> Notes:
    notes = Notes(directory)
    notes.load()
    return notes


def test_a_note_is_there_for_the_next_server(tmp_path: Path) -> None:
    watched = replace(NOTE, monitor=ProcessId(7, 8))
    Notes(tmp_path).write(NOTE)
    Notes(tmp_path).write(watched)
    assert reopened(tmp_path).get("c1") == watched


def test_a_removed_note_is_gone(tmp_path: Path) -> None:
    notes = Notes(tmp_path)
    notes.write(NOTE)
    notes.remove("c1")
    notes.remove("c1")
    assert notes.find("c1") is None
    assert list(tmp_path.iterdir()) == []


def test_what_is_not_there_has_ended(tmp_path: Path) -> None:
    with pytest.raises(FailedPreconditionError, match="container c1 has ended"):
        Notes(tmp_path).get("c1")


@pytest.mark.parametrize("content", [b"", b"garbage", b"{}", b'{"program": "\xff"}'])
def test_a_note_without_sense_is_left_and_does_not_hide_others(tmp_path: Path, content: bytes) -> None:
    Notes(tmp_path).write(NOTE)
    (tmp_path / "c0").write_bytes(content)
    (tmp_path / ".half").write_text("{")
    notes = reopened(tmp_path)
    assert (notes.find("c0"), notes.find("c1")) == (None, NOTE)


@pytest.mark.parametrize("name", [".c1", ".c1.partial"])
def test_what_was_only_begun_goes_with_its_server(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("{")
    assert reopened(tmp_path).all() == []
    assert list(tmp_path.iterdir()) == []


def test_a_note_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    notes = Notes(tmp_path / "nowhere")
    with pytest.raises(SystemCallError, match=r"write .*/nowhere/c1: ENOENT"):
        notes.write(NOTE)
    assert notes.find("c1") is None
