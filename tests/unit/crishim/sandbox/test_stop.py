"""StopPodSandbox and RemovePodSandbox: idempotent, and never more than is undone."""

from __future__ import annotations

import pytest

from cni_runtime.conf.types import ConfDir
from cni_runtime.errors import CniError
from crishim.core.errors import NotFoundError, SystemCallError
from crishim.model.attachment import Phase
from crishim.model.event import EventType
from crishim.model.sandbox import State
from crishim.testing.world import World
from crishim.testing.world import example_pod as pod


async def test_a_stopped_sandbox_stays_listed_without_its_network(world: World) -> None:
    sandbox_id = await world.sandboxes.run(pod(), "")
    await world.sandboxes.stop(sandbox_id)
    assert world.sandboxes.get(sandbox_id).state is State.STOPPED
    assert (world.cni.attached, world.namespaces.pins, world.mounts.mounts) == ({}, {}, [])


async def test_both_verbs_are_idempotent(world: World) -> None:
    sandbox_id = await world.sandboxes.run(pod(), "")
    for verb in (world.sandboxes.stop, world.sandboxes.stop, world.sandboxes.remove, world.sandboxes.remove):
        await verb(sandbox_id)
    assert await world.leavings() == []


async def test_an_unknown_sandbox_is_as_good_as_gone(world: World) -> None:
    await world.sandboxes.stop("nosuch")
    await world.sandboxes.remove("nosuch")


async def test_remove_stops_first(world: World) -> None:
    await world.sandboxes.remove(await world.sandboxes.run(pod(), ""))
    assert await world.leavings() == []


async def test_a_unique_beginning_of_the_id_will_do(world: World) -> None:
    sandbox_id = await world.sandboxes.run(pod(), "")
    await world.sandboxes.remove(sandbox_id[:12])
    with pytest.raises(NotFoundError):
        world.sandboxes.get(sandbox_id)


async def test_a_failed_del_keeps_the_netns_and_says_why(world: World) -> None:
    sandbox_id = await world.sandboxes.run(pod(), "")
    world.cni.failures["delete"] = CniError("plugin crashed")
    with pytest.raises(ExceptionGroup, match="detaching"):
        await world.sandboxes.stop(sandbox_id)
    assert world.sandboxes.get(sandbox_id).state is State.STOPPING
    assert world.sandboxes.get(sandbox_id).namespaces.net in world.namespaces.pins


async def test_what_was_deleted_is_forgotten_though_another_del_failed(world: World) -> None:
    sandbox_id = await world.sandboxes.run(pod(), "")
    world.cni.failures["delete eth0"] = CniError("plugin crashed")
    with pytest.raises(ExceptionGroup):
        await world.sandboxes.stop(sandbox_id)
    (left,) = await world.store.load_attachments()
    assert (left.ifname, left.phase) == ("eth0", Phase.DELETING)
    assert "plugin crashed" in left.error


async def test_stop_again_finishes_what_failed(world: World) -> None:
    sandbox_id = await world.sandboxes.run(pod(), "")
    world.cni.failures["delete"] = CniError("plugin crashed")
    with pytest.raises(ExceptionGroup):
        await world.sandboxes.stop(sandbox_id)
    world.cni.failures.clear()
    await world.sandboxes.stop(sandbox_id)
    assert (world.sandboxes.get(sandbox_id).state, world.cni.attached) == (State.STOPPED, {})


async def test_del_uses_the_configuration_that_add_used(world: World) -> None:
    sandbox_id = await world.sandboxes.run(pod(), "")
    world.directory.snapshot = ConfDir(world.directory.snapshot.directory)  # the file has been deleted since
    await world.sandboxes.stop(sandbox_id)
    network, attachment = next(pair for pair in world.cni.deleted if pair[1].ifname == "eth0")
    assert (network.name, [plugin.type for plugin in network.plugins]) == ("pods", ["bridge", "portmap"])
    assert dict(attachment.args)["K8S_POD_NAME"] == "web"


async def test_del_without_a_netns_when_it_is_gone(world: World) -> None:
    sandbox_id = await world.sandboxes.run(pod(), "")
    world.namespaces.pins.clear()
    await world.sandboxes.stop(sandbox_id)
    assert {attachment.netns for _, attachment in world.cni.deleted} == {None}


async def test_the_containers_end_with_their_sandbox(world: World) -> None:
    sandbox_id = await world.sandboxes.run(pod(), "")
    world.containers.of[sandbox_id] = {"app"}
    await world.sandboxes.stop(sandbox_id)
    assert world.containers.stopped == {"app"}
    await world.sandboxes.remove(sandbox_id)
    assert world.containers.of == {}


async def test_a_container_that_does_not_end_keeps_the_network(world: World) -> None:
    sandbox_id = await world.sandboxes.run(pod(), "")
    world.containers.failures["stop_all"] = SystemCallError("it does not end")
    with pytest.raises(SystemCallError):
        await world.sandboxes.stop(sandbox_id)
    assert world.cni.attached


async def test_every_step_of_a_life_is_told(world: World) -> None:
    sandbox_id = await world.sandboxes.run(pod(), "")
    await world.sandboxes.remove(sandbox_id)
    assert [kind for told, kind in world.events if told == sandbox_id] == list(EventType)
