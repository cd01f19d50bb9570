"""A server that is killed at any point leaves nothing that the next one does not find and remove."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.netns.drivers.oci.lab import Lab, until

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parents[4]
POINTS = (
    "oci.create.noted",
    "oci.create.spawned",
    "oci.create.monitor_recorded",
    "oci.create.made",
    "oci.start.noted",
    "oci.start.started",
    "oci.exec.spawned",
    "oci.delete.monitor",
    "oci.delete.runtime",
    "oci.delete.group",
    "oci.run.made",
    "oci.infra.noted",
    "oci.infra.started",
    "oci.infra.recorded",
)


def victim(lab: Lab, fault: str = "") -> subprocess.Popen[bytes]:
    argv = (sys.executable, "-m", "tests.netns.drivers.oci.victim", lab.runtime, lab.parent)
    return subprocess.Popen(argv, cwd=ROOT, env={**os.environ, "CNI_RUNTIME_FAULT": fault})


async def check_that_a_new_server_can_go_on(lab: Lab) -> None:
    await lab.open()
    await lab.driver.delete("c1")
    await until(lambda: lab.leftovers() == [])
    container = await lab.run("sh", "-c", "exit 4")
    assert (await lab.driver.wait(container)).exit_code == 4
    await lab.driver.delete("c1")
    assert lab.leftovers() == []


@pytest.mark.parametrize("point", POINTS)
async def test_killed_at_a_fault_point(lab: Lab, point: str) -> None:
    assert victim(lab, f"{point}:kill").wait() == -signal.SIGKILL
    await check_that_a_new_server_can_go_on(lab)


async def test_without_a_fault_nothing_is_left(lab: Lab) -> None:
    assert victim(lab).wait() == 0
    await check_that_a_new_server_can_go_on(lab)


@pytest.mark.parametrize("part", range(3))
async def test_killed_at_any_time(lab: Lab, part: int) -> None:
    for step in range(5):
        server = victim(lab)
        await until(lambda: (Path("/run/crishim/oci/notes/c1")).exists())
        time.sleep((part + step * 3) * 0.005)  # noqa: ASYNC251  # exactly
        server.kill()
        server.wait()
        await check_that_a_new_server_can_go_on(lab)
