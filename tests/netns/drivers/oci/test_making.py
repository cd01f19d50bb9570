"""A monitor is started before the configuration of its container is known, and ends when that never comes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from crishim.core.errors import InvalidArgumentError, RuntimeFailedError, SystemCallError
from crishim.drivers.oci.making import Making
from tests.netns.drivers.oci.lab import Lab, processes, until

pytestmark = pytest.mark.anyio

SPEC: dict[str, Any] = {"linux": {"cgroupsPath": "/other"}}


def is_noted(lab: Lab) -> bool:
    return "c1" in lab.state("notes")


def is_waiting(lab: Lab) -> bool:
    return [name.split()[1] for name in processes()] == ["conmon"]


async def make(lab: Lab, use: Callable[[Making], Awaitable[object]]) -> None:
    """Make the container, as ``use`` does."""
    async with lab.driver.making(lab.container(), lab.bundle()) as making:
        await use(making)


async def test_the_monitor_waits_for_the_configuration(lab: Lab) -> None:
    async def use(making: Making) -> None:
        await until(lambda: is_waiting(lab))
        assert not (lab.bundle() / "config.json").exists()
        await making.make(lab.spec("c1", "sleep", "1000"))

    await make(lab, use)
    assert len(lab.processes()) == 1


@pytest.mark.parametrize("so_far", [lambda _: True, is_noted, is_waiting])
async def test_a_configuration_that_never_comes_leaves_nothing(lab: Lab, so_far: Callable[[Lab], bool]) -> None:
    async def use(_: Making) -> None:
        await until(lambda: so_far(lab))
        raise SystemCallError("no space")

    with pytest.raises(SystemCallError, match="no space"):
        await make(lab, use)
    assert lab.leftovers() + lab.logs() == []


@pytest.mark.parametrize("so_far", [lambda _: True, is_noted, is_waiting])
async def test_a_caller_that_is_cancelled_leaves_nothing(lab: Lab, so_far: Callable[[Lab], bool]) -> None:
    caller = asyncio.create_task(make(lab, lambda _: asyncio.Event().wait()))
    await until(lambda: so_far(lab))
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert lab.leftovers() == []


async def test_what_an_earlier_container_has_logged_stays(lab: Lab) -> None:
    log = lab.bundle().parents[1] / "logs/c1.log"
    log.parent.mkdir()
    log.write_text("of an earlier one\n")
    with pytest.raises(RuntimeFailedError, match="not found"):
        await lab.create("nowhere")
    assert log.read_text() == "of an earlier one\n"


async def test_an_error_after_the_making_undoes_it(lab: Lab) -> None:
    async def use(making: Making) -> None:
        await making.make(lab.spec("c1", "sleep", "1000"))
        raise SystemCallError("no space")

    with pytest.raises(SystemCallError, match="no space"):
        await make(lab, use)
    await until(lambda: lab.leftovers() + lab.logs() == [])


async def test_a_configuration_that_is_refused_ends_the_monitor(lab: Lab) -> None:
    async def use(making: Making) -> None:
        await until(lambda: is_waiting(lab))
        await making.make(SPEC)

    with pytest.raises(InvalidArgumentError, match="expected a group of container c1"):
        await make(lab, use)
    assert lab.leftovers() == []


async def test_a_monitor_that_can_not_be_started_is_told(lab: Lab) -> None:
    (lab.bundle().parents[1] / "logs").write_text("in the way")
    with pytest.raises(SystemCallError, match="EEXIST"):
        await lab.create("true")
    assert lab.leftovers() == []
