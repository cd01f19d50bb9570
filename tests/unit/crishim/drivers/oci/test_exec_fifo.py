"""The pipe at which a container of crun's waits for its start."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from crishim.core.errors import SystemCallError
from crishim.drivers.oci.exec_fifo import let_run, starts_by_fifo

CRUN = Path("/usr/bin/crun")


@pytest.mark.parametrize(
    ("program", "spec", "expected"),
    [
        (CRUN, {}, True),
        (CRUN, {"hooks": {"prestart": [{"path": "/bin/true"}]}}, True),
        (CRUN, {"hooks": {"poststart": [{"path": "/bin/true"}]}}, False),
        (Path("/usr/sbin/runc"), {}, False),
        (Path("/usr/local/bin/crun-wasm"), {}, False),
    ],
)
def test_only_a_start_that_is_nothing_else_is_done_here(program: Path, spec: dict[str, object], expected: bool) -> None:
    assert starts_by_fifo(program, spec) is expected


@pytest.fixture
def pipe(tmp_path: Path) -> Path:
    """At which a container can wait, in the state that crun has of it."""
    (tmp_path / "status").touch()
    os.mkfifo(tmp_path / "exec.fifo")
    return tmp_path / "exec.fifo"


def test_who_waits_is_told(pipe: Path) -> None:
    waiting = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    assert let_run(pipe.parent)
    assert len(os.read(waiting, 2)) == 1
    os.close(waiting)
    assert not pipe.exists()


def test_nobody_waits_any_more(pipe: Path) -> None:
    assert not let_run(pipe.parent)
    assert not pipe.exists()
    assert not let_run(pipe.parent)
    assert not let_run(pipe.parent / "no-such-container")


def test_what_is_not_of_crun_is_left_alone(pipe: Path) -> None:
    (pipe.parent / "status").rename(pipe.parent / "state.json")  # as runc has it
    assert not let_run(pipe.parent)
    assert pipe.exists()


def test_what_is_no_pipe_is_told(pipe: Path) -> None:
    pipe.unlink()
    pipe.mkdir()
    with pytest.raises(SystemCallError, match="EISDIR"):
        let_run(pipe.parent)
