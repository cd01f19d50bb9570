"""Start-up: what lives is watched again, what ended is recorded, what was half made is undone."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from crishim.core.errors import RuntimeFailedError, SystemCallError
from crishim.model.container import State
from crishim.testing.container_world import ContainerWorld, example_container


async def test_a_running_container_goes_on(world: ContainerWorld) -> None:
    container_id = await world.run()
    before = world.containers.get(container_id)
    await world.restart()
    assert world.containers.get(container_id) == before
    await world.containers.stop(container_id, 1)
    assert world.containers.get(container_id).state is State.EXITED


async def test_one_that_ended_meanwhile_is_recorded_before_the_first_request(world: ContainerWorld) -> None:
    container_id = await world.run()
    record = world.containers.get(container_id)
    world.runtime.finish(container_id, 7)
    await world.containers.stop(container_id, 1)
    await world.store.put_container(record)  # as if no server had seen the end
    await world.restart()
    assert (world.containers.get(container_id).state, world.containers.get(container_id).exit_code) == (State.EXITED, 7)


@pytest.mark.parametrize("state", [State.CREATING, State.REMOVING])
async def test_what_was_half_done_is_undone(world: ContainerWorld, state: State) -> None:
    container_id = await world.run()
    world.runtime.finish(container_id, 0)
    await world.store.put_container(replace(world.containers.get(container_id), state=state))
    await world.restart()
    assert await world.leavings() == []


async def test_layers_are_not_kept_for_nobody(world: ContainerWorld) -> None:
    container_id = await world.run()
    await world.images.hold("sha256:b0", "gone")
    await world.restart()
    assert world.images.holders() == [container_id]


async def test_layers_are_kept_for_what_could_not_be_removed(world: ContainerWorld, tmp_path: Path) -> None:
    world.directory = tmp_path
    (tmp_path / "containers/stuck").mkdir(parents=True)
    await world.images.hold("sha256:b0", "stuck")
    world.runtime.failures["delete"] = SystemCallError("EBUSY")
    await world.restart()
    assert world.images.holders() == ["stuck"]


async def test_another_boot_has_ended_everything(world: ContainerWorld) -> None:
    container_id = await world.run()
    await world.store.put_container(replace(world.containers.get(container_id), boot_id="earlier"))
    await world.restart()
    container = world.containers.get(container_id)
    assert (container.state, container.exit_code, container.message) == (State.EXITED, 255, "the node was rebooted")


async def cut_off_start(world: ContainerWorld) -> str:
    """A container whose record says no more than that its start was begun."""
    container_id = await world.containers.create("pod", example_container())
    await world.store.put_container(replace(world.containers.get(container_id), started_at=1))
    return container_id


@pytest.mark.parametrize("is_recorded", [False, True])
async def test_a_start_that_had_its_effect_counts(world: ContainerWorld, is_recorded: bool) -> None:
    container_id = await (cut_off_start(world) if is_recorded else world.containers.create("pod", example_container()))
    world.runtime.started.add(container_id)
    await world.restart()
    container = world.containers.get(container_id)
    assert (container.state, container.started_at) == (State.RUNNING, 7)
    await world.containers.stop(container_id, 1)
    assert world.containers.get(container_id).state is State.EXITED


async def test_a_start_without_an_effect_can_be_tried_again(world: ContainerWorld) -> None:
    container_id = await cut_off_start(world)
    await world.restart()
    assert world.containers.get(container_id).started_at == 0
    await world.containers.start(container_id)
    assert world.containers.get(container_id).state is State.RUNNING


async def test_a_start_that_can_not_be_asked_about_has_failed(world: ContainerWorld) -> None:
    container_id = await cut_off_start(world)
    world.runtime.failures["started_at"] = RuntimeFailedError("no answer")
    await world.restart()
    container = world.containers.get(container_id)
    assert (container.state, container.reason) == (State.EXITED, "StartError")


async def test_what_is_left_of_one_that_ended_is_removed(world: ContainerWorld) -> None:
    container_id = await world.run()
    world.runtime.failures["delete"] = SystemCallError("the server ended here")
    await world.containers.stop(container_id, 1)
    world.runtime.failures.clear()
    await world.restart()
    assert (world.containers.get(container_id).state, world.runtime.made) == (State.EXITED, {})


async def test_one_that_could_not_be_settled_is_still_watched(world: ContainerWorld) -> None:
    container_id = await world.run()
    world.runtime.failures["ended"] = SystemCallError("EMFILE")
    await world.restart()
    world.runtime.finish(container_id, 7)
    await world.containers.stop(container_id, 1)
    assert world.containers.get(container_id).exit_code == 7
