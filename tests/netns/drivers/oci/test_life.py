"""A container from its creation to its removal, on a real OCI runtime."""

from __future__ import annotations

import asyncio
import os
import signal
import time

import pytest
from msgspec.structs import replace

from crishim.container.spec.resources import linux_resources, updated
from crishim.core.errors import RuntimeFailedError
from crishim.drivers.host_facts import gather
from crishim.drivers.process.identity import read_stat
from crishim.model.pod import Resources
from tests.netns.drivers.oci.lab import STATE, Lab, processes, until

pytestmark = pytest.mark.anyio


async def test_a_container_waits_for_its_start(lab: Lab) -> None:
    container = await lab.create("echo", "hello")
    assert read_stat(container.pid) is not None
    assert not await lab.driver.started_at(container)
    await lab.driver.start(container)
    assert (await lab.driver.wait(container)).exit_code == 0
    assert lab.log() == "stdout F hello\n"


@pytest.mark.parametrize(("script", "code"), [("exit 0", 0), ("exit 7", 7), ("kill -9 $$", 137), ("sleep 0.1", 0)])
async def test_the_exit_code_and_time_are_known(lab: Lab, script: str, code: int) -> None:
    before = time.time_ns()
    container = await lab.run("sh", "-c", f"trap 'exit 9' TERM; sh -c '{script}'; exit $?")
    ended = await lab.driver.wait(container)
    assert (ended.exit_code, ended.oom_killed) == (code, False)
    assert before < ended.finished_at <= time.time_ns()


async def test_an_end_is_not_before_the_start(lab: Lab) -> None:
    """Its time is that of a file, which the kernel takes from a clock that stands still for milliseconds."""
    container = await lab.run("true")
    await until(lambda: "c1" in lab.state("exits"))
    os.utime(STATE / "oci/exits/c1", ns=(0, 17))
    ended = await lab.driver.wait(container)
    assert ended.finished_at == ended.started_at > 17


async def test_both_streams_are_logged_in_parts_and_lines(lab: Lab) -> None:
    container = await lab.run("sh", "-c", "echo out; echo err >&2; echo -n unfinished")
    await lab.driver.wait(container)
    assert sorted(lab.log().splitlines()) == ["stderr F err", "stdout F out", "stdout P unfinished"]


async def test_nothing_is_left_after_deletion(lab: Lab) -> None:
    container = await lab.run("true")
    await lab.driver.wait(container)
    await lab.driver.delete(container.id)
    await lab.driver.delete(container.id)
    assert lab.leftovers() == []


async def test_a_signal_reaches_the_first_process(lab: Lab) -> None:
    container = await lab.run("sh", "-c", "trap 'exit 5' USR1; echo ready; while :; do sleep 0.01; done")
    await until(lambda: "ready" in lab.log())
    await lab.driver.signal(container, signal.SIGUSR1)
    assert (await lab.driver.wait(container)).exit_code == 5
    await lab.driver.signal(container, signal.SIGUSR1)  # gone, which is fine


async def test_kill_all_ends_a_container_that_ignores_signals(lab: Lab) -> None:
    container = await lab.run("sh", "-c", "trap '' TERM; sleep 1000 & sleep 1000")
    await lab.driver.kill_all(container)
    assert (await lab.driver.wait(container)).exit_code == 137


async def test_kill_all_reaches_what_has_left_in_a_shared_pid_namespace(lab: Lab) -> None:
    container = await lab.run("sh", "-c", "setsid sleep 1000 & wait", namespaces={"pid": False})
    await until(lambda: len(lab.processes()) == 2)
    await lab.driver.kill_all(container)
    await lab.driver.wait(container)
    await until(lambda: not lab.processes())


async def test_the_id_of_a_process_is_a_containers_own_until_its_end(lab: Lab) -> None:
    container = await lab.run("sleep", "1000")
    assert lab.driver.is_there(container)
    assert not lab.driver.is_there(replace(container, pid_start=container.pid_start + 1))  # another one of that id
    await lab.driver.kill_all(container)
    await lab.driver.wait(container)
    assert not lab.driver.is_there(container)


async def test_a_container_without_a_monitor_is_watched_all_the_same(lab: Lab) -> None:
    container = await lab.run_unwatched("sleep", "1000")
    assert "conmon" not in "".join(processes())
    assert await lab.driver.ended(container) is None
    await lab.driver.kill_all(container)
    await lab.driver.wait(container)
    await lab.driver.delete(container.id)
    assert lab.leftovers() == []


async def test_a_container_that_was_never_started_is_killed(lab: Lab) -> None:
    container = await lab.create("sleep", "1000")
    await lab.driver.kill_all(container)
    assert (await lab.driver.wait(container)).exit_code == 137


async def test_a_running_container_can_be_deleted(lab: Lab) -> None:
    container = await lab.run("sleep", "1000")
    await lab.driver.delete(container.id)
    assert lab.leftovers() == []


async def test_a_command_that_is_not_there_fails_and_leaves_nothing(lab: Lab) -> None:
    with pytest.raises(RuntimeFailedError, match=r"nowhere.*not found") as failure:
        await lab.create("nowhere")
    assert "level=" not in str(failure.value)
    assert lab.leftovers() + lab.logs() == []


async def test_want_of_memory_is_told(lab: Lab) -> None:
    container = await lab.run("sh", "-c", "dd if=/dev/zero of=/dev/null bs=64M; exit $?", memory=16 << 20)
    ended = await lab.driver.wait(container)
    assert ended.oom_killed
    assert ended.exit_code == 137


@pytest.mark.parametrize(
    ("code", "killed"), [("dd if=/dev/zero of=/dev/null bs=64M; exit $?", True), ("exit 137", False)]
)
async def test_want_of_memory_is_told_when_the_group_is_gone(lab: Lab, code: str, killed: bool) -> None:
    """systemd removes it with the last process, before anybody can look."""
    container = await lab.run("sh", "-c", code, memory=16 << 20)
    await until(lambda: lab.state("exits") == ["c1"])
    await lab.close()
    (lab.bundle() / "oom").unlink(missing_ok=True)  # which the monitor writes when it is quick enough
    ended = await lab.driver.wait(container)
    assert (ended.exit_code, ended.oom_killed) == (137, killed)


async def test_resources_can_be_changed(lab: Lab) -> None:
    container = await lab.run("sleep", "1000")
    await lab.driver.update(container, {"memory": {"limit": 32 << 20}})
    assert lab.group_file("memory", "memory.limit_in_bytes", "memory.max") == f"{32 << 20}\n"


async def test_memory_can_be_raised_past_what_was_allowed_with_swap(lab: Lab) -> None:
    container, host = await lab.run("sleep", "1000"), await gather()
    small = Resources(memory_limit_in_bytes=32 << 20, memory_swap_limit_in_bytes=48 << 20)
    for resources in (small, updated(small, Resources(memory_limit_in_bytes=64 << 20))):
        await lab.driver.update(container, linux_resources(resources, host))
    assert lab.group_file("memory", "memory.limit_in_bytes", "memory.max") == f"{64 << 20}\n"


async def test_processors_can_be_given_to_a_container_without_a_quota(lab: Lab) -> None:
    container, host = await lab.run("sleep", "1000"), await gather()
    resources = Resources(cpu_quota=-1, cpu_period=100_000, cpuset_cpus="0")
    await lab.driver.update(container, linux_resources(resources, host, resources))
    assert lab.group_file("cpuset", "cpuset.cpus", "cpuset.cpus") == "0\n"


async def test_containers_do_not_wait_for_each_other(lab: Lab) -> None:
    names = [f"c{number}" for number in range(5)]
    containers = await asyncio.gather(*(lab.run("sh", "-c", "exit 3", container_id=name) for name in names))
    ends = await asyncio.gather(*map(lab.driver.wait, containers))
    assert [end.exit_code for end in ends] == [3] * 5
    await asyncio.gather(*(lab.driver.delete(name) for name in names))
    assert lab.leftovers() == []


async def test_a_cpu_quota_can_be_taken_away(lab: Lab) -> None:
    container = await lab.run("sleep", "1000")
    for quota, v1, v2 in ((20_000, "20000\n", "20000 100000\n"), (-1, "-1\n", "max 100000\n")):
        await lab.driver.update(container, {"cpu": {"quota": quota, "period": 100_000, "shares": 512}})
        assert lab.group_file("cpu", "cpu.cfs_quota_us", "cpu.max") in (v1, v2)
