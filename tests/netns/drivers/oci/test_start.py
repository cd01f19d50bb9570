"""Starting a container of crun's without crun."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from cni_runtime import faults
from crishim.core.errors import RuntimeFailedError
from crishim.model.container import Container
from tests.netns.drivers.oci.lab import Lab, until

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("lab", ["crun"], indirect=True)]

ASKED, CRUN = Path("/run/asked"), Path("/run/bin/crun")


@pytest.fixture
async def crun(lab: Lab) -> Lab:
    """A driver whose crun notes each command that it is given."""
    write_crun()
    await lab.open(runtime=str(CRUN))
    return lab


def write_crun() -> None:
    CRUN.parent.mkdir()
    CRUN.write_text(f'#!/bin/sh\necho "$@" >>{ASKED}\nexec {shutil.which("crun")} "$@"\n')
    CRUN.chmod(0o755)


def link_crun_to_runc() -> None:
    runc = shutil.which("runc")
    if runc is None:
        pytest.skip("runc is not installed")
    CRUN.parent.mkdir()
    CRUN.symlink_to(runc)


def asked(command: str) -> bool:
    """Whether crun was given ``command``."""
    return any(command in line.split() for line in ASKED.read_text().splitlines())


def pipe(lab: Lab, container: Container) -> Path:
    """At which the container waits."""
    return lab.root / "crun" / container.id / "exec.fifo"


async def test_crun_is_not_asked(crun: Lab) -> None:
    container = await crun.create("echo", "started")
    assert pipe(crun, container).exists()
    await crun.driver.start(container)
    assert (await crun.driver.wait(container)).exit_code == 0
    assert crun.log() == "stdout F started\n"
    assert not pipe(crun, container).exists()
    assert (asked("create"), asked("start")) == (True, False)
    await crun.driver.delete(container.id)
    assert crun.leftovers() == []


async def test_crun_is_asked_when_there_is_something_to_run_then(crun: Lab) -> None:
    ran = Path("/run/hook-ran")
    # It reads what it is told: crun dies of SIGPIPE when a hook has ended before it was told.
    hooks = {"poststart": [{"path": "/bin/sh", "args": ["sh", "-c", f"cat >{ran}"]}]}
    container = crun.container()
    spec = {**crun.spec("c1", "sleep", "1000"), "hooks": hooks}
    async with crun.driver.making(container, crun.bundle()) as making:
        await making.make(spec)
    await crun.driver.start(container)
    assert asked("start")
    await until(ran.exists)
    await crun.driver.delete(container.id)


async def test_runc_that_is_called_crun_starts_its_containers(lab: Lab) -> None:
    link_crun_to_runc()
    await lab.open(runtime=str(CRUN))
    container = await lab.run("echo", "started")
    assert (await lab.driver.wait(container)).exit_code == 0
    assert lab.log() == "stdout F started\n"
    await lab.driver.delete(container.id)
    assert lab.leftovers() == []


async def test_crun_says_why_a_container_cannot_start(crun: Lab) -> None:
    container = await crun.create("sleep", "1000")
    await crun.driver.kill_all(container)
    await crun.driver.wait(container)
    with pytest.raises(RuntimeFailedError, match="not running"):
        await crun.driver.start(container)
    await crun.driver.delete(container.id)
    assert crun.leftovers() == []


@pytest.mark.parametrize("point", ["oci.start.noted", "oci.start.let_run"])
async def test_a_start_that_was_cut_off_is_finished(crun: Lab, point: str) -> None:
    container = await crun.create("sh", "-c", "echo started; sleep 1000")
    faults.arm(f"{point}:raise")
    with pytest.raises(faults.FaultInjectedError):
        await crun.driver.start(container)
    faults.arm()
    assert pipe(crun, container).exists()
    await crun.open(runtime=str(CRUN))
    assert await crun.driver.started_at(container)
    assert point != "oci.start.noted" or not asked("state")
    assert not pipe(crun, container).exists()
    await until(lambda: crun.log() == "stdout F started\n")
    await crun.driver.delete(container.id)
    assert crun.leftovers() == []
