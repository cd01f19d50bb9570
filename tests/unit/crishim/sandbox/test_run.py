"""RunPodSandbox: a ready sandbox with an IP, or nothing."""

from __future__ import annotations

import asyncio

import pytest

from cni_runtime.conf.types import ConfDir
from cni_runtime.errors import CniError
from crishim.core.errors import AlreadyExistsError, InvalidArgumentError, SystemCallError, UnavailableError
from crishim.model.attachment import Phase
from crishim.model.pod import NamespaceMode, NamespaceOptions, SandboxSecurity
from crishim.model.sandbox import SandboxFilter, State
from crishim.testing.cni import Gate
from crishim.testing.world import World
from crishim.testing.world import example_pod as pod


async def test_a_pod_gets_its_ip(world: World) -> None:
    sandbox = world.sandboxes.get(await world.sandboxes.run(pod(), ""))
    assert (sandbox.state, sandbox.ips) == (State.READY, ("10.88.0.2",))
    assert sandbox.netns_inode == world.namespaces.pins[sandbox.namespaces.net or ""]


async def test_containers_are_expected_with_every_new_pod(world: World) -> None:
    for _ in range(2):
        await world.sandboxes.run(pod(), "")
    assert world.containers.expected == 1


async def test_every_attachment_is_recorded_with_what_add_used(world: World) -> None:
    sandbox_id = await world.sandboxes.run(pod(), "")
    records = {record.ifname: record for record in world.index.attachments(sandbox_id)}
    assert {name: record.phase for name, record in records.items()} == {"eth0": Phase.ATTACHED, "lo": Phase.ATTACHED}
    assert [step.plugin for step in records["eth0"].steps] == ["bridge", "portmap"]


async def test_the_record_is_there_before_the_first_plugin_runs(world: World) -> None:
    world.cni.gate = Gate()
    running = asyncio.create_task(world.sandboxes.run(pod(), ""))
    await world.cni.gate.arrivals(2)
    assert {record.phase for record in await world.store.load_attachments()} == {Phase.ADDING}
    world.cni.gate.open()
    await running


async def test_one_still_being_made_is_not_listed(world: World) -> None:
    world.cni.gate = Gate()
    running = asyncio.create_task(world.sandboxes.run(pod(), ""))
    await world.cni.gate.arrivals(2)
    assert world.sandboxes.list(SandboxFilter()) == []
    world.cni.gate.open()
    await running


async def test_the_same_attempt_joins_the_one_in_progress(world: World) -> None:
    ids = await asyncio.gather(*(world.sandboxes.run(pod(), "") for _ in range(3)))
    assert len(set(ids)) == 1
    assert world.cni.adds == 2  # eth0 and lo, once


async def test_the_same_attempt_later_gets_the_same_id(world: World) -> None:
    assert await world.sandboxes.run(pod(), "") == await world.sandboxes.run(pod(), "")


async def test_a_caller_that_goes_away_does_not_end_the_work(world: World) -> None:
    world.cni.gate = Gate()
    caller = asyncio.create_task(world.sandboxes.run(pod(), ""))
    await world.cni.gate.arrivals(2)
    caller.cancel()
    world.cni.gate.open()
    sandbox_id = await world.sandboxes.run(pod(), "")
    assert world.sandboxes.get(sandbox_id).state is State.READY


async def test_the_name_of_a_stopped_sandbox_is_reserved(world: World) -> None:
    sandbox_id = await world.sandboxes.run(pod(), "")
    await world.sandboxes.stop(sandbox_id)
    with pytest.raises(AlreadyExistsError, match=sandbox_id):
        await world.sandboxes.run(pod(), "")


async def test_no_network_no_trace(world: World) -> None:
    world.directory.snapshot = ConfDir(world.directory.snapshot.directory)
    with pytest.raises(UnavailableError, match=r"/etc/cni/net\.d"):
        await world.sandboxes.run(pod(), "")
    assert await world.leavings() == []


async def test_an_unknown_handler_is_refused(world: World) -> None:
    with pytest.raises(InvalidArgumentError, match="kata"):
        await world.sandboxes.run(pod(), "kata")


async def test_host_network_needs_no_network(world: World) -> None:
    world.directory.snapshot = ConfDir(world.directory.snapshot.directory)
    security = SandboxSecurity(namespaces=NamespaceOptions(network=NamespaceMode.NODE))
    sandbox = world.sandboxes.get(await world.sandboxes.run(pod(security=security), ""))
    assert (sandbox.ips, sandbox.namespaces.net, world.cni.adds) == ((), None, 0)


async def test_sysctls_of_an_interface_wait_for_the_interface(world: World) -> None:
    name = "net.ipv4.conf.eth0.forwarding"
    await world.sandboxes.run(pod(sysctls={name: "1", "net.ipv4.ip_forward": "1"}), "")
    early = world.namespaces.specs[0].sysctls
    assert (early["net.ipv4.ip_forward"], name in early) == ("1", False)
    assert world.namespaces.sysctls[name] == "1"


async def test_a_pod_needs_no_privileges_for_low_ports_and_ping(world: World) -> None:
    await world.sandboxes.run(pod(), "")
    assert world.namespaces.sysctls["net.ipv4.ip_unprivileged_port_start"] == "0"
    assert world.namespaces.sysctls["net.ipv4.ping_group_range"] == "0 2147483647"


async def test_the_nodes_own_network_is_left_as_it_is(world: World) -> None:
    options = NamespaceOptions(network=NamespaceMode.NODE)
    await world.sandboxes.run(pod(security=SandboxSecurity(namespaces=options)), "")
    assert world.namespaces.sysctls == {}


@pytest.mark.parametrize("method", ["create", "write_sysctls"])
async def test_a_failure_of_the_namespaces_leaves_nothing(world: World, method: str) -> None:
    world.namespaces.failures[method] = SystemCallError("unshare: EPERM")
    with pytest.raises(SystemCallError):
        await world.sandboxes.run(pod(), "")
    assert await world.leavings() == []


@pytest.mark.parametrize("method", ["make_dir", "write_file", "mount_shm"])
async def test_a_failure_of_the_files_leaves_nothing(world: World, method: str) -> None:
    world.mounts.failures[method] = SystemCallError("ENOSPC")
    with pytest.raises(SystemCallError):
        await world.sandboxes.run(pod(), "")
    assert await world.leavings() == []


async def test_a_failed_add_is_undone(world: World) -> None:
    world.cni.failures["add"] = CniError("no address left")
    with pytest.raises(ExceptionGroup) as caught:
        await world.sandboxes.run(pod(), "")
    assert caught.group_contains(UnavailableError, match="no address left")
    assert await world.leavings() == []


async def test_when_the_undo_fails_too_the_sandbox_stays_listed_with_the_reason(world: World) -> None:
    world.cni.failures |= {"add": CniError("no address left"), "delete": CniError("plugin crashed")}
    with pytest.raises(ExceptionGroup):
        await world.sandboxes.run(pod(), "")
    (sandbox,) = world.sandboxes.list(SandboxFilter(ready=False))
    assert (sandbox.state, sandbox.failed) == (State.STOPPING, True)
    assert "no address left" in sandbox.reason
    assert {record.error for record in world.index.attachments(sandbox.id)} == {
        f"network {network}, interface {ifname}: plugin crashed"
        for network, ifname in (("pods", "eth0"), ("cni-loopback", "lo"))
    }


async def test_a_retry_clears_what_a_failed_run_left(world: World) -> None:
    world.cni.failures |= {"add": CniError("x"), "delete": CniError("y")}
    with pytest.raises(ExceptionGroup):
        await world.sandboxes.run(pod(), "")
    world.cni.failures.clear()
    sandbox_id = await world.sandboxes.run(pod(), "")
    assert [sandbox.id for sandbox in await world.store.load_sandboxes()] == [sandbox_id]


async def test_every_add_got_its_del_and_in_the_end_nothing_is_left(world: World) -> None:
    sandbox_id = await world.sandboxes.run(pod(), "")
    await world.sandboxes.stop(sandbox_id)
    await world.sandboxes.remove(sandbox_id)
    assert await world.leavings() == []


async def test_a_making_that_failed_on_a_full_disk_is_in_nobodys_way(world: World) -> None:
    world.cni.gate = Gate()
    running = asyncio.create_task(world.sandboxes.run(pod(), ""))
    await world.cni.gate.arrivals(2)
    world.store.failures["put"] = UnavailableError("disk full")
    world.cni.gate.open()
    with pytest.raises(UnavailableError):
        await running
    world.store.failures.clear()
    sandbox_id = await world.sandboxes.run(pod(), "")
    assert [sandbox.id for sandbox in world.index.all()] == [sandbox_id]


@pytest.mark.parametrize(("told", "progress"), [(None, 2), (1, 1)])
async def test_del_goes_no_further_than_add_did(world: World, told: int | None, progress: int) -> None:
    world.cni.failures |= {"add": CniError("there is no such plugin"), "delete": CniError("busy")}
    world.cni.begun = told
    with pytest.raises(ExceptionGroup):
        await world.sandboxes.run(pod(), "")
    (sandbox,) = world.index.all()
    assert {record.progress for record in world.index.attachments(sandbox.id) if record.ifname == "eth0"} == {progress}
