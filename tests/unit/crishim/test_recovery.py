"""Start-up: whatever the last server left half done is finished, and what was well goes on unharmed."""

from __future__ import annotations

import asyncio

import pytest
from msgspec.structs import replace

from cni_runtime.errors import CniError
from crishim.core.errors import UnavailableError
from crishim.model.sandbox import State
from crishim.testing.cni import Gate
from crishim.testing.world import World
from crishim.testing.world import example_pod as pod


async def test_a_ready_sandbox_goes_on_unharmed(world: World) -> None:
    sandbox_id = await world.sandboxes.run(pod(), "")
    before = world.sandboxes.get(sandbox_id)
    await world.restart()
    assert world.sandboxes.get(sandbox_id) == before
    assert world.cni.deleted == []


async def test_a_half_made_sandbox_is_undone(world: World) -> None:
    sandbox_id = await world.sandboxes.run(pod(), "")
    await world.store.put(replace(world.sandboxes.get(sandbox_id), state=State.CREATING))
    await world.restart()
    assert await world.leavings() == []
    assert world.ended_plugins_of == {sandbox_id}  # an ADD still running would come after the DEL


async def test_a_sandbox_of_an_earlier_boot_is_released_and_listed(world: World) -> None:
    sandbox_id = await world.sandboxes.run(pod(), "")
    await world.store.put(replace(world.sandboxes.get(sandbox_id), boot_id="earlier"))
    world.namespaces.pins.clear()
    await world.restart()
    sandbox = world.sandboxes.get(sandbox_id)
    assert (sandbox.state, sandbox.reason, world.cni.attached) == (State.STOPPED, "the node was rebooted", {})


@pytest.mark.parametrize("inode", [None, 1])
async def test_a_sandbox_whose_netns_is_lost_is_not_ready(world: World, inode: int | None) -> None:
    sandbox = world.sandboxes.get(await world.sandboxes.run(pod(), ""))
    netns = sandbox.namespaces.net or ""
    world.namespaces.pins = {netns: inode} if inode else {}
    await world.restart()
    assert world.sandboxes.get(sandbox.id).state is State.STOPPED
    assert f"{netns} is gone" in world.sandboxes.get(sandbox.id).reason


@pytest.mark.parametrize(("state", "after"), [(State.STOPPING, State.STOPPED), (State.STOPPED, State.STOPPED)])
async def test_a_stop_is_finished(world: World, state: State, after: State) -> None:
    sandbox_id = await world.sandboxes.run(pod(), "")
    await world.store.put(replace(world.sandboxes.get(sandbox_id), state=state))
    await world.restart()
    assert world.sandboxes.get(sandbox_id).state is after


async def test_a_removal_is_finished(world: World) -> None:
    sandbox_id = await world.sandboxes.run(pod(), "")
    await world.sandboxes.stop(sandbox_id)
    await world.store.put(replace(world.sandboxes.get(sandbox_id), state=State.REMOVING))
    await world.restart()
    assert await world.leavings() == []


async def test_what_can_not_be_undone_yet_does_not_stop_the_start(world: World) -> None:
    first, second = [await world.sandboxes.run(pod(name), "") for name in ("a", "b")]
    for sandbox_id in (first, second):
        await world.store.put(replace(world.sandboxes.get(sandbox_id), state=State.STOPPING))
    world.cni.failures["delete"] = CniError("still broken")
    await world.restart()
    assert {world.sandboxes.get(sandbox_id).state for sandbox_id in (first, second)} == {State.STOPPING}


async def test_attachments_whose_sandbox_record_is_lost_still_get_their_del(world: World) -> None:
    sandbox_id = await world.sandboxes.run(pod(), "")
    world.store.lose_sandbox(sandbox_id)
    await world.restart()
    assert await world.leavings() == []


async def test_the_containers_of_a_sandbox_whose_record_is_lost_end_before_its_network(world: World) -> None:
    sandbox_id = await world.sandboxes.run(pod(), "")
    world.store.lose_sandbox(sandbox_id)
    world.containers.of[sandbox_id] = {"main"}
    world.containers.failures["stop_all"] = UnavailableError("it goes on")
    await world.restart()
    assert world.cni.attached
    world.containers.failures.clear()
    await world.restart()
    assert (world.containers.stopped, await world.leavings()) == ({"main"}, [])


async def test_what_can_not_be_dropped_yet_is_tried_again(world: World) -> None:
    """Also what no record tells of."""
    sandbox_id = await world.sandboxes.run(pod(), "")
    world.store.lose_sandbox(sandbox_id)
    await world.store.put(without=await world.store.load_attachments())
    await world.restart()
    world.containers.failures["stop_all"] = UnavailableError("it goes on")
    await world.recovery._drop_unknown([sandbox_id])
    world.containers.failures.clear()
    await world.recovery._drop_unknown([])
    assert await world.leavings() == []


async def test_a_del_that_hangs_holds_up_neither_the_server_nor_other_pods(world: World) -> None:
    ids = [await world.sandboxes.run(pod(name), "") for name in ("a", "b")]
    world.namespaces.pins.clear()
    world.cni.delete_gate = Gate()
    await world.restart(seconds=0.01)
    assert {world.sandboxes.get(each).state for each in ids} == {State.STOPPING}
    retrying = asyncio.create_task(world.recovery.retry_forever())
    await world.cni.delete_gate.arrivals(8)  # eth0 and lo of both, twice
    world.cni.delete_gate.open()
    await asyncio.sleep(0.01)
    retrying.cancel()
    assert {world.sandboxes.get(each).state for each in ids} == {State.STOPPED}


async def test_what_was_half_made_is_undone_when_the_disk_has_room_again(world: World) -> None:
    sandbox_id = await world.sandboxes.run(pod(), "")
    await world.store.put(replace(world.sandboxes.get(sandbox_id), state=State.CREATING))
    world.store.failures["put"] = UnavailableError("disk full")
    await world.restart()
    world.store.failures.clear()
    assert world.sandboxes.get(sandbox_id).reason == "the server ended while the sandbox was being made"
    await world.sandboxes.run(pod(), "")
    assert [sandbox.id for sandbox in world.index.all()] != [sandbox_id]


async def test_the_networks_of_a_sandbox_whose_records_are_lost_are_given_back(world: World) -> None:
    sandbox_id = await world.sandboxes.run(pod(), "")
    await world.recovery._drop_unknown([sandbox_id])
    assert world.cni.attached == {}
