"""Containers go on without the server, and the next server knows how they ended."""

from __future__ import annotations

import asyncio
import os
import signal
import time

import pytest
from msgspec.structs import replace

from crishim.drivers.oci.notes import Notes
from crishim.model.container import Container
from tests.netns.drivers.oci.lab import STATE, Lab, until

pytestmark = pytest.mark.anyio


def monitor(container_id: str = "c1") -> int:
    notes = Notes(STATE / "oci/notes")
    notes.load()
    note = notes.get(container_id)
    assert note.monitor is not None
    return note.monitor.pid


def with_pid(container: Container, pid: int) -> Container:
    return replace(container, pid=pid, pid_start=1)


async def test_a_new_server_waits_for_the_end(lab: Lab) -> None:
    container = await lab.run("sh", "-c", "sleep 0.3; echo late; exit 6")
    await lab.open()
    assert await lab.driver.started_at(container)
    assert (await lab.driver.wait(container)).exit_code == 6
    assert lab.log() == "stdout F late\n"


async def test_what_ended_while_no_server_was_there_is_known(lab: Lab) -> None:
    container = await lab.run("sh", "-c", "dd if=/dev/zero of=/dev/null bs=64M; exit $?", memory=16 << 20)
    await until(lambda: lab.state("exits") == ["c1"])
    before = time.time_ns()
    await lab.open()
    ended = await lab.driver.wait(container)
    assert (ended.exit_code, ended.oom_killed) == (137, True)
    assert ended.finished_at < before


async def test_all_who_wait_are_told(lab: Lab) -> None:
    container = await lab.run("sleep", "1000")
    waiting = [asyncio.create_task(lab.driver.wait(container)) for _ in range(3)]
    await asyncio.sleep(0.05)
    await lab.driver.kill_all(container)
    assert [end.exit_code for end in await asyncio.gather(*waiting)] == [137] * 3


async def test_a_container_whose_monitor_is_killed_is_ended(lab: Lab) -> None:
    container = await lab.run("sleep", "1000")
    os.kill(monitor(), signal.SIGKILL)
    ended = await lab.driver.wait(container)
    assert ended.exit_code == 137
    assert lab.processes() == []
    await lab.driver.delete(container.id)
    assert lab.leftovers() == []


async def test_a_container_nobody_knows_of_has_ended_somehow(lab: Lab) -> None:
    ended = await lab.driver.wait(lab.container("unknown"))
    assert ended.exit_code == 255
    await lab.driver.delete("unknown")


async def test_a_process_that_has_the_id_of_an_ended_container_is_left_alone(lab: Lab) -> None:
    container = await lab.run("sleep", "1000")
    stranger = lab.container("stranger")
    for other in (stranger, with_pid(stranger, container.pid), with_pid(stranger, 1), with_pid(stranger, -1)):
        await lab.driver.kill_all(other)
    assert lab.processes() == [str(container.pid)]


async def test_orphans_of_a_container_in_the_pid_namespace_of_the_node_are_reaped(lab: Lab) -> None:
    container = await lab.run("sh", "-c", "setsid sleep 0.1 & exit 0", namespaces={"pid": False})
    await lab.driver.wait(container)
    await lab.driver.delete(container.id)
    assert lab.leftovers() == []
