"""Commands run in a container to their end."""

from __future__ import annotations

import asyncio
import platform
import subprocess
import sys
import time
from pathlib import Path

import pytest

from crishim.core.errors import DeadlineError, RuntimeFailedError
from crishim.drivers.oci.driver import Limits
from crishim.drivers.oci.exec_sync import OUTPUT_LIMIT
from crishim.model.container import Container
from crishim.model.process import ExecResult
from tests.netns.drivers.oci.lab import ROOTFS, Lab, process, processes, until

pytestmark = pytest.mark.anyio

PYTHON = Path(sys.executable).resolve()
WHICH_KEYRING = "import ctypes; print(ctypes.CDLL(None).syscall(250, 0, -3, 0))"  # of the session, see keyctl(2)


@pytest.fixture
async def container(lab: Lab) -> Container:
    return await lab.run("sleep", "1000")


def show_python() -> None:
    """Let containers that are made from now on run Python."""
    for path in {"/usr", "/lib", "/lib64", str(PYTHON.parents[1])}:
        target = ROOTFS / path.lstrip("/")
        target.mkdir(parents=True, exist_ok=True)
        subprocess.run(["mount", "--bind", path, target], check=True)


def own_keyring() -> int:
    return int(subprocess.run([PYTHON, "-c", WHICH_KEYRING], capture_output=True, check=True).stdout)


async def run(lab: Lab, container: Container, script: str, seconds: float | None = 20.0) -> ExecResult:
    return await lab.driver.exec_sync(container, process("sh", "-c", script), seconds)


async def test_output_and_exit_code_are_returned(lab: Lab, container: Container) -> None:
    assert await run(lab, container, "echo out; echo err >&2; exit 3") == ExecResult(b"out\n", b"err\n", 3)


@pytest.mark.parametrize(("script", "code"), [("kill -9 $$", 137), ("kill -15 $$", 143), ("exit 255", 255)])
async def test_a_signal_counts_from_128(lab: Lab, container: Container, script: str, code: int) -> None:
    assert (await run(lab, container, script)).exit_code == code


async def test_a_command_is_as_dear_to_the_kernel_as_its_container(lab: Lab, container: Container) -> None:
    ranked = process("sh", "-c", "cat /proc/self/oom_score_adj; exit 3", oomScoreAdj=500)
    assert await lab.driver.exec_sync(container, ranked, 20.0) == ExecResult(b"500\n", b"", 3)


@pytest.mark.skipif(platform.machine() != "x86_64", reason="knows a number of x86_64")
async def test_a_command_has_none_of_the_keys_of_the_server(lab: Lab) -> None:
    show_python()
    container = await lab.run("sleep", "1000")
    done = await lab.driver.exec_sync(container, process(str(PYTHON), "-c", WHICH_KEYRING), 20.0)
    assert int(done.stdout) > 0
    assert int(done.stdout) != own_keyring()


async def test_the_nodes_null_device_can_be_used_and_not_changed(lab: Lab, container: Container) -> None:
    """The mode that is set here is the one it has."""
    done = await run(lab, container, "cat; echo x >&0 && echo x >/dev/stdin && busybox chmod 666 /proc/self/fd/0")
    assert b"Read-only file system" in done.stderr
    assert (done.stdout, done.exit_code) == (b"", 1)


async def test_a_command_that_is_not_there_is_an_error(lab: Lab, container: Container) -> None:
    with pytest.raises(RuntimeFailedError, match=r"nowhere.*not found"):
        await lab.driver.exec_sync(container, process("nowhere"), 20.0)
    assert list(lab.state("execs")) == []


async def test_a_failed_command_does_not_hold_up_the_end_of_its_container(lab: Lab, container: Container) -> None:
    with pytest.raises(RuntimeFailedError):
        await lab.driver.exec_sync(container, process("nowhere"), 20.0)
    await lab.driver.kill_all(container)
    async with asyncio.timeout(1.0):
        await lab.driver.wait(container)


@pytest.mark.parametrize(
    "script",
    [
        "sleep 500",
        "sleep 500 & wait",
        "trap '' TERM HUP; while :; do sleep 0.01; done",
        "setsid sh -c 'sleep 500; true' >/dev/null 2>&1 </dev/null & sleep 500",
        "(setsid sh -c '(env -i setsid /bin/sleep 500 &)' >/dev/null 2>&1 </dev/null &); sleep 500",
    ],
)
async def test_nothing_of_a_command_outlives_its_time(lab: Lab, container: Container, script: str) -> None:
    with pytest.raises(DeadlineError, match=r"did not end within 0\.3 s"):
        await run(lab, container, script, seconds=0.3)
    assert lab.processes() == [str(container.pid)]
    assert list(lab.state("execs")) == []


async def test_output_that_is_still_held_counts_into_the_time(lab: Lab, container: Container) -> None:
    with pytest.raises(DeadlineError):
        await run(lab, container, "sleep 500 & exit 0", seconds=0.3)
    assert lab.processes() == [str(container.pid)]


async def test_output_that_is_still_held_has_a_time_of_its_own(lab: Lab, container: Container) -> None:
    await lab.open(limits=Limits(drain=0.1))
    with pytest.raises(DeadlineError, match="still held its output"):
        await run(lab, container, "sleep 500 & exit 0", seconds=None)
    assert lab.processes() == [str(container.pid)]


async def test_what_a_command_leaves_in_peace_goes_on(lab: Lab, container: Container) -> None:
    result = await run(lab, container, "sleep 500 >/dev/null 2>&1 & exit 0")
    assert result.exit_code == 0
    assert len(lab.processes()) == 2


async def test_output_beyond_the_limit_is_dropped(lab: Lab, container: Container) -> None:
    result = await run(lab, container, "dd if=/dev/zero bs=1M count=20 2>/dev/null")
    assert (len(result.stdout), result.exit_code) == (OUTPUT_LIMIT, 0)


async def test_endless_output_ends_in_time(lab: Lab, container: Container) -> None:
    begin = time.monotonic()
    with pytest.raises(DeadlineError):
        await run(lab, container, "yes", seconds=0.3)
    assert time.monotonic() - begin < 2


async def test_a_caller_that_goes_away_ends_the_command(lab: Lab, container: Container) -> None:
    task = asyncio.create_task(run(lab, container, "sleep 500"))
    await until(lambda: sorted(name.split()[1] for name in processes()) == ["conmon", "sleep", "sleep"])
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert lab.processes() == [str(container.pid)]


async def test_many_commands_at_once_keep_their_exit_codes(lab: Lab, container: Container) -> None:
    results = await asyncio.gather(*(run(lab, container, f"echo {code}; exit {code}") for code in range(20)))
    assert [(int(result.stdout), result.exit_code) for result in results] == [(code, code) for code in range(20)]


async def test_the_end_of_the_container_ends_the_command(lab: Lab, container: Container) -> None:
    task = asyncio.create_task(run(lab, container, "sleep 500", seconds=None))
    await until(lambda: sorted(name.split()[1] for name in processes()) == ["conmon", "sleep", "sleep"])
    await lab.driver.kill_all(container)
    assert (await task).exit_code == 137
    await lab.driver.wait(container)
    await lab.driver.delete(container.id)
    assert lab.leftovers() == []
