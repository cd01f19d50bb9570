from __future__ import annotations

import asyncio
from contextlib import ExitStack
from pathlib import Path

import pytest

from cni_runtime.testing.shortage import open_descriptors
from crishim.drivers.oci.exec import Exec, Execs
from crishim.drivers.oci.exec_streams import Ends, ExecSession, Wanted, open_session
from crishim.drivers.oci.notes import Notes
from crishim.drivers.oci.places import Places
from crishim.drivers.oci.program import OciProgram
from crishim.drivers.process.child import Child
from tests.unit.crishim.drivers.oci.cancelling import cancel_often

pytestmark = pytest.mark.anyio


@pytest.fixture
def command(tmp_path: Path) -> Exec:
    places = Places(tmp_path)
    for directory in (places.execs, places.sockets):
        directory.mkdir()
    return Execs(places, Notes(places.notes)).prepare("c1", {})


@pytest.mark.parametrize("tty", [True, False])
async def test_nothing_is_kept_however_often_a_start_is_cancelled(command: Exec, tmp_path: Path, tty: bool) -> None:
    runtime = tmp_path / "runtime"
    runtime.write_text("#!/bin/sh\nexec sleep 1000\n")
    runtime.chmod(0o755)
    sockets, before = Places(tmp_path).sockets, open_descriptors()
    opening = open_session(command, OciProgram(runtime, tmp_path), Wanted(tty=tty), sockets=sockets, seconds=60)
    await cancel_often(asyncio.create_task(opening))
    assert (open_descriptors(), command.directory.exists(), list(sockets.iterdir())) == (before, False, [])


async def test_all_is_given_back_however_often_that_is_cancelled(command: Exec) -> None:
    undo = ExitStack()
    undo.callback(command.close)
    session = ExecSession(command, Child(0), Ends(), undo)
    await cancel_often(asyncio.create_task(session.aclose()))
    assert not command.directory.exists()
