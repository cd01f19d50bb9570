"""Descriptors of real processes, in groups that are directories; tests/netns has real ones."""

from __future__ import annotations

import os
import resource
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from crishim.drivers.descriptors import Descriptors, count, open_files_limit, read_descriptors
from crishim.drivers.process.identity import ProcessId, identify

FILES, SOCKETS = 4, 2


@pytest.fixture
def pid() -> Iterator[int]:
    """A process with ``FILES`` that are no sockets, three of them its standard streams, and ``SOCKETS``."""
    with ExitStack() as undo:
        sockets = [undo.enter_context(each) for each in socket.socketpair()]
        file = undo.enter_context(Path(os.devnull).open())
        given = [file.fileno(), *(each.fileno() for each in sockets)]
        argv, pipe = ["sh", "-c", "echo ready; read -r line"], subprocess.PIPE
        started = subprocess.Popen(argv, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, pass_fds=given)
        process = undo.enter_context(started)
        undo.callback(process.kill)
        assert process.stdout
        process.stdout.readline()  # it opens and closes files until then
        yield process.pid


def test_the_descriptors_of_all_processes_count(pid: int) -> None:
    assert count([pid, pid]) == (2 * (FILES + SOCKETS), 2 * SOCKETS)


def test_who_has_ended_has_none(pid: int) -> None:
    with subprocess.Popen(["true"]) as zombie:
        os.waitid(os.P_PID, zombie.pid, os.WEXITED | os.WNOWAIT)
        with_zombie = count([zombie.pid, pid])
    assert with_zombie == count([pid, zombie.pid]) == (FILES + SOCKETS, SOCKETS)


def test_of_very_many_the_sockets_are_not_looked_for(pid: int) -> None:
    counted = Path(f"/proc/{pid}/fd").stat().st_size > 0
    both = 2 * (FILES + SOCKETS)
    assert count([pid, pid], most=both) == (both, 2 * SOCKETS)
    for most in (both - 1, FILES + SOCKETS, FILES, 2):
        assert count([pid, pid], most=most) == (both if counted else None, None)
    assert count([pid, pid], most=1) == (None, None)


def test_a_file_whose_path_is_too_long_is_no_socket(tmp_path: Path) -> None:
    directory = os.open(tmp_path, os.O_RDONLY)
    for _ in range(20):
        os.mkdir(250 * "d", dir_fd=directory)
        below = os.open(250 * "d", os.O_RDONLY, dir_fd=directory)
        os.close(directory)
        directory = below
    before = count([os.getpid()])
    os.close(directory)
    after = count([os.getpid()])
    assert before[1] == after[1] is not None


def test_a_group_with_all_below_it(tmp_path: Path, pid: int) -> None:
    (tmp_path / "g/sub").mkdir(parents=True)
    (tmp_path / "g/sub/cgroup.procs").write_text(f"{pid}\n")
    first = identify(pid)
    assert first
    found = read_descriptors([tmp_path / "g"], first)
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert found == Descriptors(found.timestamp if found else 0, FILES + SOCKETS, SOCKETS, soft)
    assert read_descriptors([tmp_path / "gone"], first) is None


def test_the_limit_of_exactly_this_process(pid: int) -> None:
    process = identify(pid)
    assert process
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (77, 1000))
    assert open_files_limit(process) == 77
    assert open_files_limit(ProcessId(pid, process.start + 1)) is None
    assert open_files_limit(ProcessId(0, 0)) is None
