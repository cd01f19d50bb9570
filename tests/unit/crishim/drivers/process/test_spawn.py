from __future__ import annotations

import os
import resource
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from cni_runtime.spawn import _null
from crishim.core.errors import SystemCallError
from crishim.drivers.process.spawn import Program, Spawned, _children, forget_child, is_child, spawn


def reaped(spawned: Spawned) -> int:
    info = os.waitid(os.P_PIDFD, spawned.pidfd, os.WEXITED)
    os.close(spawned.pidfd)
    forget_child(spawned.pid)
    assert info is not None
    return info.si_status


def test_a_program_has_an_owner_at_once() -> None:
    spawned = spawn(Program(argv=("/bin/sh", "-c", "exit 4"), env={}))
    assert is_child(spawned.pid)
    assert reaped(spawned) == 4
    assert not is_child(spawned.pid)


def test_a_name_is_looked_for_in_the_path_of_the_program(tmp_path: Path) -> None:
    (tmp_path / "tool").write_text("#!/bin/sh\nexit 5\n")
    (tmp_path / "tool").chmod(0o755)
    assert reaped(spawn(Program(argv=("tool",), env={"PATH": f"/nowhere:{tmp_path}"}))) == 5


def test_what_is_executed_may_have_another_name() -> None:
    program = Program(argv=("other", "-c", '[ "$0" = other ]'), executable=Path("/bin/sh"), env={})
    assert reaped(spawn(program)) == 0


@pytest.mark.parametrize(
    "program",
    [
        Program(argv=("nowhere",), env={"PATH": "/usr/bin:/bin"}),
        Program(argv=("sh",), env={"PATH": "/nowhere"}),
        Program(argv=("/nowhere",), env={}),
        Program(argv=("/bin/sh",), env={}, directory=Path("/nowhere")),
    ],
)
def test_what_is_not_there_is_an_error(program: Program) -> None:
    with pytest.raises(SystemCallError, match=f"start {program.argv[0]}: No such file or directory"):
        spawn(program)


@contextmanager
def no_more_descriptors() -> Iterator[None]:
    """Only those up to /dev/null, which is there since this was imported: threads of other tests close later ones."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with ExitStack() as undo:
        while (lowest := os.open("/dev/null", os.O_RDONLY)) < _null:
            undo.callback(os.close, lowest)
        os.close(lowest)
        resource.setrlimit(resource.RLIMIT_NOFILE, (_null + 1, hard))
        undo.callback(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        yield


def test_what_can_not_be_watched_does_not_run(tmp_path: Path) -> None:
    script = f"sleep 0.1; touch {tmp_path}/ran"
    with no_more_descriptors(), pytest.raises(SystemCallError, match="start /bin/sh: Too many open files"):
        spawn(Program(argv=("/bin/sh", "-c", script), env={}))
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)
    assert not (tmp_path / "ran").exists()


def test_what_can_not_be_watched_is_forgotten_when_it_has_been_reaped_by_another() -> None:
    known, before = set(_children), signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel reaps
    try:
        with no_more_descriptors(), pytest.raises(SystemCallError, match="Too many open files"):
            spawn(Program(argv=("/bin/sleep", "60"), env={}))  # it is there until it is killed
    finally:
        signal.signal(signal.SIGCHLD, before)
    assert not _children - known
