"""OCI runtimes that hang, fail or lie: a typed error in time, nothing left, and nobody else harmed."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from crishim.core.errors import CrishimError, DeadlineError, RuntimeFailedError, UnavailableError
from crishim.drivers.oci.driver import Limits
from crishim.model.container import Container
from tests.netns.drivers.oci.lab import Lab, process, processes, until

pytestmark = pytest.mark.anyio

FAKE = Path("/run/fake-runtime")
SHORT = Limits(create=0.5, start=2, update=0.5, delete=0.5)
WRITE_PID = 'while [ "$1" != --pid-file ]; do shift; done; {} > "$2"'


async def fake(lab: Lab, command: str, script: str) -> None:
    """Go on with a runtime that runs ``script`` for one command, and is the real one for the others."""
    write_fake(lab, command, script)
    await lab.open(runtime=str(FAKE), limits=SHORT)


def write_fake(lab: Lab, command: str, script: str) -> None:
    real = shutil.which(lab.runtime, path="/usr/bin:/usr/sbin")
    FAKE.write_text(
        f'#!/bin/sh\nreal={real}\nfor word; do\n  if [ "$word" = {command} ]; then\n{script}\nexit\nfi\ndone\n'
        'exec $real "$@"\n'
    )
    FAKE.chmod(0o755)


@contextmanager
def bystander() -> Iterator[int]:
    """A process that is nobody's business, and has to be there at the end."""
    with subprocess.Popen(["sleep", "1000"]) as process:
        Path("/run/bystander").write_text(str(process.pid))
        yield process.pid
        assert process.poll() is None
        process.kill()


def start_by_hand(lab: Lab, container: Container) -> subprocess.Popen[bytes]:
    """What a server that is no more had started."""
    argv = (FAKE, f"--root={lab.root}/{FAKE.name}", "start", container.id)
    return subprocess.Popen(argv, process_group=0)


async def made_by_fake(lab: Lab, command: str, script: str) -> Container:
    """A container whose runtime turns hostile after it has made and started it."""
    await fake(lab, "nothing", "true")
    container = await lab.run("sleep", "1000")
    await fake(lab, command, script)
    return container


@pytest.mark.parametrize(
    ("script", "error", "words"),
    [
        ("sleep 1000", DeadlineError, "did not make the container within 0.5 s"),
        ("sh -c 'sleep 1000 & sleep 1000'", DeadlineError, "did not make the container"),
        ("echo out of order >&2; exit 3", RuntimeFailedError, "out of order"),
        ("exit 3", RuntimeFailedError, "conmon ended without a report"),
        ("kill -9 $$", RuntimeFailedError, "conmon ended without a report"),
        ("exit 0", RuntimeFailedError, "conmon ended without a report"),
        (WRITE_PID.format("echo -1"), RuntimeFailedError, "gave -1 as the id"),
        (WRITE_PID.format("echo 0"), RuntimeFailedError, "gave 0 as the id"),
        (WRITE_PID.format("echo 1"), RuntimeFailedError, "gave 1 as the id"),
        (WRITE_PID.format("echo garbage"), RuntimeFailedError, "gave 0 as the id"),
        (WRITE_PID.format("echo 99999999"), RuntimeFailedError, "99999999, the container's first, is gone"),
        (WRITE_PID.format("cat /run/bystander"), RuntimeFailedError, "which is another one"),
    ],
)
async def test_creation(lab: Lab, script: str, error: type[CrishimError], words: str) -> None:
    with bystander() as pid:
        await fake(lab, "create", script)
        begin = time.monotonic()
        with pytest.raises(error, match=words):
            await lab.create("sleep", "1000")
        assert time.monotonic() - begin < 3
        await until(lambda: processes() == [f"{pid} sleep"])
    assert lab.leftovers() == []


@pytest.mark.parametrize(
    "script",
    [
        """sh -c 'kill -9 $0; sleep 0.2; exec "$@"' $PPID $real "$@\"""",
        '$real "$@"; kill -9 $PPID; sleep 1000',
        *[f'(sleep 0.0{step}; kill -9 $PPID) & exec $real "$@"' for step in (1, 3, 5, 7, 9)],
    ],
)
async def test_a_monitor_that_is_killed_while_it_makes_a_container_leaves_nothing(lab: Lab, script: str) -> None:
    """The kernel ends what conmon has started with it, but not what that has started."""
    await fake(lab, "create", script)
    with suppress(RuntimeFailedError):  # the last may come when the container is made
        await lab.create("sleep", "1000")
        await lab.driver.delete("c1")
    await until(lambda: processes() == [])
    assert lab.leftovers() == []


@pytest.mark.parametrize("script", ["sleep 1000", "echo no >&2; exit 1", "kill -9 $$"])
async def test_a_failed_deletion_leaves_no_process_and_is_done_again(lab: Lab, script: str) -> None:
    container = await made_by_fake(lab, "delete", script)
    with pytest.raises((DeadlineError, RuntimeFailedError)):
        await lab.driver.delete(container.id)
    await until(lambda: processes() == [])
    await fake(lab, "nothing", "true")
    await lab.driver.delete(container.id)
    assert lab.leftovers() == []


@pytest.mark.parametrize(
    ("script", "error"),
    [("sleep 1000", DeadlineError), ("exit 1", RuntimeFailedError), ("kill -9 $$", RuntimeFailedError)],
)
async def test_start_and_update(lab: Lab, script: str, error: type[CrishimError]) -> None:
    await fake(lab, "start", script)
    container = await lab.create("sleep", "1000")
    with pytest.raises(error):
        await lab.driver.start(container)
    await fake(lab, "update", script)
    with pytest.raises(error):
        await lab.driver.update(container, {})
    await lab.driver.delete(container.id)
    assert lab.leftovers() == []


@pytest.mark.parametrize("answer", ["garbage", "[]", "{}", '{"status": 7}', ""])
async def test_a_state_without_sense(lab: Lab, answer: str) -> None:
    container = await made_by_fake(lab, "state", f"echo '{answer}'")
    with pytest.raises(RuntimeFailedError, match="was not understood"):
        await lab.driver.started_at(container)


@pytest.mark.parametrize(
    ("script", "error"),
    [
        ("sleep 1000", DeadlineError),
        ("echo no >&2; exit 1", RuntimeFailedError),
        ("exit 0", RuntimeFailedError),
        ('for word; do case "$word" in --pid-file=*) echo -1 > "${word#*=}";; esac; done', RuntimeFailedError),
        ('for word; do case "$word" in --pid-file=*) echo 1 > "${word#*=}";; esac; done', RuntimeFailedError),
    ],
)
async def test_exec(lab: Lab, script: str, error: type[CrishimError]) -> None:
    container = await made_by_fake(lab, "exec", script)
    with pytest.raises(error):
        await lab.driver.exec_sync(container, process("true"), 0.5)
    assert lab.processes() == [str(container.pid)]
    assert lab.state("execs") == []


async def test_a_handler_whose_features_hang_or_make_no_sense_is_told(lab: Lab) -> None:
    await fake(lab, "features", "echo {")
    with pytest.raises(UnavailableError, match="answer to the features command was not understood"):
        await lab.create("true")


async def test_a_handler_without_a_program_is_told(lab: Lab) -> None:
    await lab.open(runtime="/nowhere/crun")
    with pytest.raises(UnavailableError, match="/nowhere/crun was not found"):
        await lab.create("true")


async def test_a_node_without_conmon_is_told(lab: Lab) -> None:
    await lab.open(conmon="conmon-that-is-not-there")
    with pytest.raises(UnavailableError, match="conmon-that-is-not-there was not found"):
        await lab.create("true")


async def test_a_runtime_that_is_left_by_a_killed_server_is_ended(lab: Lab) -> None:
    container = await made_by_fake(lab, "start", "sleep 1000")
    orphan = start_by_hand(lab, container)
    await until(lambda: len([name for name in processes() if name.endswith("sleep")]) == 2)
    await lab.open()
    assert orphan.wait() == -9
    assert sorted(name.split()[1] for name in processes()) == ["conmon", "sleep"]
    assert lab.processes() == [str(container.pid)]
