from __future__ import annotations

import resource
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from crishim.core.errors import SystemCallError
from crishim.drivers.conmon.launch import Launched, WaitingMonitor
from crishim.drivers.process.spawn import Program, Spawned, is_child, spawn
from crishim.drivers.process.stream import OutputFile

pytestmark = pytest.mark.anyio


def launched(spawned: Spawned) -> Launched:
    """What ``launch`` returns, of a program that waits as a monitor does."""
    undo, said = ExitStack(), OutputFile(1)
    undo.callback(said.close)
    gate, waiting = socket.socketpair()
    waiting.close()
    undo.callback(gate.close)
    return Launched(spawned, gate, gate.fileno(), said, undo)


@contextmanager
def no_file_can_be_opened() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def test_a_monitor_that_can_not_be_identified_is_ended() -> None:
    before = open_files()
    monitor = launched(spawn(Program(argv=("/bin/sleep", "1000"), env={})))
    with no_file_can_be_opened(), pytest.raises(SystemCallError, match="EMFILE"):
        await WaitingMonitor.of(monitor)
    assert not is_child(monitor.spawned.pid)
    assert open_files() == before
