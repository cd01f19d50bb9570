from __future__ import annotations

import asyncio
import signal
import socket
from contextlib import ExitStack
from pathlib import Path

import pytest

from cni_runtime.testing.shortage import no_descriptors_left, open_descriptors
from crishim.core.errors import RuntimeFailedError, SystemCallError
from crishim.drivers.conmon.argv import Monitor
from crishim.drivers.conmon.launch import Launched, WaitingMonitor, launch
from crishim.drivers.process.identity import ProcessId, identify, read_stat, send
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


def killed_monitor(bundle: Path, report: str) -> Launched:
    """A monitor that starts something, may report, and is killed."""
    program = bundle / "conmon"
    start = "sleep 1000 {_OCI_SYNCPIPE}>&- &\necho $! >started"
    program.write_text(f"#!/bin/bash\n{start}\n{report} >/proc/self/fd/$_OCI_SYNCPIPE\nkill -9 $$\n")
    program.chmod(0o755)
    monitor = Monitor(container_id="c1", program=program, runtime=program, bundle=bundle, exits=bundle)
    return launch(monitor, env={"PATH": "/usr/bin:/bin"})


def started_by_it(bundle: Path) -> ProcessId:
    process = identify(int((bundle / "started").read_text()))
    assert process is not None
    return process


def lives(process: ProcessId) -> bool:
    stat = read_stat(process.pid)
    return stat is not None and not stat.has_ended


async def test_a_monitor_that_can_not_be_identified_is_ended() -> None:
    before = open_descriptors()
    monitor = launched(spawn(Program(argv=("/bin/sleep", "1000"), env={})))
    with no_descriptors_left(), pytest.raises(SystemCallError, match="EMFILE"):
        await WaitingMonitor.of(monitor)
    assert not is_child(monitor.spawned.pid)
    assert open_descriptors() == before


async def test_what_a_monitor_had_started_is_ended_when_it_was_killed_before_its_report(tmp_path: Path) -> None:
    monitor = await WaitingMonitor.of(killed_monitor(tmp_path, "true"))
    with pytest.raises(RuntimeFailedError, match="conmon ended without a report"):
        await monitor.make(lambda _: None, 5)
    started = started_by_it(tmp_path)
    await monitor.end()
    assert not lives(started)


async def test_what_a_monitor_leaves_after_its_report_is_left_alone(tmp_path: Path) -> None:
    monitor = await WaitingMonitor.of(killed_monitor(tmp_path, """echo '{"data": 5}'"""))
    process, _ = await monitor.make(lambda _: None, 5)
    while is_child(process.pid):  # noqa: ASYNC110  # nobody tells
        await asyncio.sleep(0.01)
    await monitor.end()
    assert lives(started_by_it(tmp_path))
    send(started_by_it(tmp_path), signal.SIGKILL)
