"""Telling infra processes that an earlier server left behind from all others."""

from __future__ import annotations

from pathlib import Path

import pytest

from crishim.drivers.infra.dressing import command_line
from crishim.drivers.oci.infra import is_left_over, label
from crishim.drivers.oci.notes import Note
from crishim.drivers.oci.places import Places
from crishim.drivers.process.identity import ProcessId

PLACES, PROCESS = Places(Path("/run/crishim/oci")), ProcessId(7, 8)
OURS = command_line(label(PLACES, "c1"))


def note(monitor: ProcessId | None) -> Note:
    return Note(container_id="c1", program="", systemd_cgroup=False, bundle="/b", log_path="", monitor=monitor)


@pytest.mark.parametrize(
    ("monitor", "left"), [(None, True), (PROCESS, False), (ProcessId(7, 9), True), (ProcessId(9, 8), True)]
)
def test_one_that_was_not_noted_is_left_over(monitor: ProcessId | None, left: bool) -> None:
    assert is_left_over(OURS, PROCESS, PLACES, [note(monitor)]) == left


def test_one_without_a_note_is_left_over() -> None:
    assert is_left_over(OURS, PROCESS, PLACES, [])


@pytest.mark.parametrize(
    "arguments",
    [
        ("/catatonit", "-P"),
        ("/catatonit", "-P", "/run/other/oci/notes/c1"),
        ("/catatonit", "-P", "/run/crishim/oci/notes/deeper/c1"),
        ("cat", "/run/crishim/oci/notes/c1"),
        (*OURS, "more"),
        ("sh",),
    ],
)
def test_others_are_left_alone(arguments: tuple[str, ...]) -> None:
    assert not is_left_over(arguments, PROCESS, PLACES, [])
