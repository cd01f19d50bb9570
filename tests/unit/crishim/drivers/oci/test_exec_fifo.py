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


def test_who_waits_is_told(tmp_path: Path) -> None:
    pipe = tmp_path / "exec.fifo"
    os.mkfifo(pipe)
    waiting = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    assert let_run(tmp_path)
    assert len(os.read(waiting, 2)) == 1
    os.close(waiting)
    assert not pipe.exists()


def test_nobody_waits_any_more(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "exec.fifo")
    assert not let_run(tmp_path)
    assert not let_run(tmp_path)
    assert not let_run(tmp_path / "no-such-container")
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_pipe_is_told(tmp_path: Path) -> None:
    (tmp_path / "exec.fifo").mkdir()
    with pytest.raises(SystemCallError, match="EISDIR"):
        let_run(tmp_path)
