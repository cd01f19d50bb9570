from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from cni_runtime.testing.shortage import no_descriptors_left, open_descriptors
from crishim.core.errors import SystemCallError
from crishim.drivers.oci.exec import Execs
from crishim.drivers.oci.exec_sync import exec_sync
from crishim.drivers.oci.notes import Notes
from crishim.drivers.oci.places import Places
from crishim.drivers.oci.program import OciProgram
from tests.unit.crishim.drivers.oci.cancelling import cancel_often

pytestmark = pytest.mark.anyio


async def test_nothing_is_kept_when_there_are_descriptors_for_one_stream_only(tmp_path: Path) -> None:
    places = Places(tmp_path)
    places.execs.mkdir()
    execs, program = Execs(places, Notes(places.notes)), OciProgram(Path("/nowhere"), tmp_path)
    before = open_descriptors()
    with no_descriptors_left(but=3), pytest.raises(SystemCallError, match="EMFILE"):
        await exec_sync(execs, program, "c1", {}, seconds=None, drain_seconds=None)
    assert (open_descriptors(), list(places.execs.iterdir())) == (before, [])


async def test_nothing_is_kept_however_often_it_is_cancelled(tmp_path: Path) -> None:
    places, runtime = Places(tmp_path), tmp_path / "runtime"
    places.execs.mkdir()
    runtime.write_text("#!/bin/sh\nexec sleep 1000\n")
    runtime.chmod(0o755)
    execs, program = Execs(places, Notes(places.notes)), OciProgram(runtime, tmp_path)
    before = open_descriptors()
    running = asyncio.create_task(exec_sync(execs, program, "c1", {}, seconds=None, drain_seconds=None))
    await cancel_often(running)
    assert (open_descriptors(), list(places.execs.iterdir())) == (before, [])
