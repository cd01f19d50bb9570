"""Create, start and remove: each does all of its work or leaves nothing, and may be repeated."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest
from msgspec.structs import replace

from crishim.core.errors import (
    AlreadyExistsError,
    DeadlineError,
    FailedPreconditionError,
    InvalidArgumentError,
    NotFoundError,
    SystemCallError,
    UnavailableError,
)
from crishim.model.container import Container, ContainerSecurity, Event, ImageSpec, Mount, State
from crishim.model.image import ImageRoot
from crishim.model.pod import NamespaceMode, NamespaceOptions, ProfileType, Resources, SecurityProfile
from crishim.model.sandbox import State as SandboxState
from crishim.testing.container_world import OWN_PID, POD_PID, ContainerWorld, example_container, example_sandbox
from crishim.testing.store import MemoryStore


async def test_a_container_is_made_of_its_image(world: ContainerWorld) -> None:
    container = world.containers.get(await world.containers.create("pod", example_container(log_path="main/0.log")))
    assert (container.state, container.image_ref, container.uid) == (State.CREATED, "sha256:b0", 1000)
    assert container.log_path == "/var/log/pods/pod/main/0.log"
    assert world.rootfs.mounted == {container.id: ("/layers/b",)}
    assert world.runtime.made[container.id]["process"]["args"] == ["sh"]


async def test_a_root_is_told_what_is_mounted_at_its_files(world: ContainerWorld) -> None:
    mounts = (Mount("/etc/hosts", "/srv/hosts"), Mount("/b", "/srv/b"))
    container_id = await world.containers.create("pod", example_container(mounts=mounts))
    assert world.rootfs.at_files == {container_id: ("/srv/hosts",)}


async def test_a_log_lies_below_the_directory_of_the_pod(world: ContainerWorld) -> None:
    container_id = await world.containers.create("pod", example_container(log_path="/etc/foo.log"))
    assert world.containers.get(container_id).log_path == "/var/log/pods/pod/etc/foo.log"


async def test_the_node_may_be_renamed_while_the_server_runs(world: ContainerWorld) -> None:
    world.node.name = "renamed"
    container_id = await world.run()
    assert "HOSTNAME=renamed" in world.runtime.made[container_id]["process"]["env"]


async def test_a_profile_may_be_loaded_while_the_server_runs(world: ContainerWorld) -> None:
    world.host = replace(world.host, apparmor=True)
    await world.restart()
    security = replace(OWN_PID, apparmor=SecurityProfile(ProfileType.LOCALHOST, "localhost/mine"))
    with pytest.raises(InvalidArgumentError, match="mine"):
        await world.containers.create("pod", example_container(security=security))
    world.node.apparmor_profiles = frozenset({"mine"})
    container_id = await world.containers.create("pod", example_container(security=security))
    assert world.runtime.made[container_id]["process"]["apparmorProfile"] == "mine"


async def test_a_pod_may_become_one_with_privileged_containers(world: ContainerWorld) -> None:
    """As by an ephemeral container, of which nobody knew when the sandbox was made."""
    config = example_container(security=replace(OWN_PID, privileged=True))
    with pytest.raises(InvalidArgumentError, match="in a pod whose sandbox is privileged"):
        await world.containers.create("pod", config)
    container_id = await world.containers.create("pod", config, privileged_pod=True)
    assert not world.runtime.made[container_id]["linux"]["maskedPaths"]


@pytest.mark.parametrize("selinux", [True, False])
async def test_all_that_a_container_sees_gets_its_label(world: ContainerWorld, selinux: bool) -> None:
    """But for paths of the node, which get it when that is asked for."""
    image = ImageRoot("sha256:b1", "volumes:1", ("/layers/b",), {"Cmd": ["sh"], "Volumes": {"/v": {}}})
    world.images.roots |= {image.reference: image, image.image_id: image}
    world.host = replace(world.host, selinux_labels=selinux)
    await world.restart()
    mounts = (
        Mount("/a", "/srv/a", selinux_relabel=True),
        Mount("/b", "/srv/b"),
        Mount("/i", image=ImageSpec("busybox:1"), readonly=True),
    )
    config = replace(example_container(mounts=mounts), image=ImageSpec("volumes:1"))
    container_id = await world.containers.create("pod", config)
    spec = world.runtime.made[container_id]
    label = spec["linux"].get("mountLabel", "")
    assert bool(label) == selinux
    assert world.rootfs.labels == {container_id: label}
    sources = {mount["source"] for mount in spec["mounts"] if mount["type"] == "bind"} - {"/dev/shm", "/srv/b"}
    assert len(sources) == 6
    assert {world.node.labels.get(source, "") for source in sources} == {label}
    assert "/srv/b" not in world.node.labels


@pytest.mark.parametrize("unknown", ["container_t", "container_file_t"])
async def test_a_label_that_the_policy_of_the_node_lacks_is_refused(world: ContainerWorld, unknown: str) -> None:
    world.node.unknown_types.add(unknown)
    await world.containers.create("pod", example_container("first"))
    world.host = replace(world.host, selinux_labels=True)
    await world.restart()
    with pytest.raises(InvalidArgumentError, match=rf"selinux_options: expected a label .*; found .*{unknown}"):
        await world.containers.create("pod", example_container())


async def test_it_runs_after_its_start(world: ContainerWorld) -> None:
    container = world.containers.get(await world.run())
    assert (container.state, container.started_at > 0) == (State.RUNNING, True)


async def test_only_a_created_container_starts(world: ContainerWorld) -> None:
    container_id = await world.run()
    with pytest.raises(FailedPreconditionError, match="running"):
        await world.containers.start(container_id)


async def test_a_start_that_fails_ends_the_container(world: ContainerWorld) -> None:
    container_id = await world.containers.create("pod", example_container())
    world.runtime.failures["start"] = SystemCallError("exec format error")
    with pytest.raises(SystemCallError):
        await world.containers.start(container_id)
    container = world.containers.get(container_id)
    assert (container.state, container.reason, container.exit_code) == (State.EXITED, "StartError", 128)
    await world.containers.remove(container_id)
    assert world.told == [(container_id, event) for event in (Event.MADE, Event.EXITED, Event.REMOVE)]


@pytest.mark.parametrize("recorded", [True, False])
async def test_a_container_that_can_not_be_started_is_killed(world: ContainerWorld, recorded: bool) -> None:
    container_id = await world.containers.create("pod", example_container())
    world.runtime.failures["start"] = DeadlineError("it did not end in time")
    if not recorded:
        world.store.failures["put_container"] = UnavailableError("disk full")
    with pytest.raises((DeadlineError, UnavailableError)):
        await world.containers.start(container_id)
    world.store.failures.clear()
    await world.containers.remove(container_id)
    assert await world.leavings() == []


async def test_what_is_left_of_a_failed_start_ends_with_its_sandbox(world: ContainerWorld) -> None:
    container_id = await world.containers.create("pod", example_container())
    world.runtime.failures |= {"start": DeadlineError("late"), "kill_all": SystemCallError("EMFILE")}
    with pytest.raises(SystemCallError):
        await world.containers.start(container_id)
    world.runtime.failures.clear()
    await world.containers.stop_all("pod")
    assert world.runtime.made == {}


async def test_a_start_is_given_up_when_the_container_is_killed_meanwhile(world: ContainerWorld) -> None:
    container_id = await world.containers.create("pod", example_container())
    world.runtime.hold_start = asyncio.Event()
    starting = asyncio.ensure_future(world.containers.start(container_id))
    await asyncio.sleep(0)
    world.runtime.finish(container_id, 137)
    with pytest.raises(FailedPreconditionError, match="has ended"):
        await asyncio.wait_for(starting, 10)
    assert world.containers.get(container_id).exit_code == 137


async def test_a_container_does_not_start_in_a_sandbox_that_is_stopped(world: ContainerWorld) -> None:
    container_id = await world.containers.create("pod", example_container())
    world.pods.sandboxes["pod"] = example_sandbox(state=SandboxState.STOPPING)
    with pytest.raises(FailedPreconditionError, match="stopping"):
        await world.containers.start(container_id)
    assert world.containers.get(container_id).state is State.CREATED


async def test_a_start_that_can_not_be_recorded_is_found_out(world: ContainerWorld) -> None:
    container_id = await world.containers.create("pod", example_container())
    world.store.failures["put_container"] = UnavailableError("disk full")
    await world.containers.start(container_id)
    await asyncio.sleep(0)
    world.store.failures.clear()
    await world.restart()
    container = world.containers.get(container_id)
    assert (container.state, container.started_at) == (State.RUNNING, 7)


async def test_a_start_is_recorded_before_its_end(world: ContainerWorld) -> None:
    container_id = await world.run()
    await world.containers.stop(container_id, 1)
    (record,) = await world.store.load_containers()
    assert (record.state, record.started_at, record.exit_code) == (State.EXITED, 7, 143)


async def test_an_end_before_the_start_is_recorded_says_when_that_was(world: ContainerWorld) -> None:
    container_id = await world.containers.create("pod", example_container())
    world.runtime.started.add(container_id)
    world.runtime.finish(container_id, 3)
    await world.containers.stop(container_id, 1)
    container = world.containers.get(container_id)
    assert (container.state, container.exit_code, container.started_at) == (State.EXITED, 3, 7)


@pytest.mark.parametrize(
    ("exit_code", "oom_killed", "reason"), [(0, False, "Completed"), (3, False, "Error"), (137, True, "OOMKilled")]
)
async def test_an_end_is_recorded_with_its_reason(
    world: ContainerWorld, exit_code: int, oom_killed: bool, reason: str
) -> None:
    container_id = await world.run()
    world.runtime.finish(container_id, exit_code, oom_killed=oom_killed)
    await world.containers.stop(container_id, 1)
    container = world.containers.get(container_id)
    assert (container.state, container.exit_code, container.reason) == (State.EXITED, exit_code, reason)


@pytest.mark.parametrize("started", [True, False])
async def test_remove_ends_it_first_and_leaves_nothing(world: ContainerWorld, started: bool) -> None:
    container_id = await (world.run() if started else world.containers.create("pod", example_container()))
    await world.containers.remove(container_id)
    assert await world.leavings() == []


async def test_an_image_that_is_mounted_is_held_as_long(world: ContainerWorld) -> None:
    data = ImageRoot("sha256:da", "data:1", ("/layers/d",), {})
    world.images.roots |= {data.reference: data, data.image_id: data}
    container_id = await world.run(mounts=(Mount("/data", image=ImageSpec("data:1"), readonly=True),))
    assert world.images.held == {container_id: {"sha256:b0", "sha256:da"}}
    assert world.images.written == {container_id}
    await world.containers.remove(container_id)
    assert await world.leavings() == []


async def test_an_image_that_could_not_be_given_back_is_when_the_removal_is_repeated(world: ContainerWorld) -> None:
    container_id = await world.run()
    world.images.failures["release"] = UnavailableError("disk full")
    with pytest.raises(UnavailableError):
        await world.containers.remove(container_id)
    world.images.failures.clear()
    await world.containers.remove(container_id)
    assert await world.leavings() == []


async def test_an_infra_container_that_can_not_be_recorded_is_taken_back(world: ContainerWorld) -> None:
    class StoreWithoutInfra(MemoryStore):
        async def put_container(self, container: Container) -> None:
            if container.infra:
                raise UnavailableError("disk full")
            await super().put_container(container)

    world.store = StoreWithoutInfra()
    await world.restart()
    with pytest.raises(UnavailableError):
        await world.containers.create("pod", example_container(security=POD_PID))
    assert await world.leavings() == []


async def test_two_may_remove_a_container_at_once(world: ContainerWorld) -> None:
    """As when kubelet removes it while its pod is being removed."""
    container_id = await world.run()
    await asyncio.gather(world.containers.remove(container_id), world.containers.remove_all("pod"))
    assert await world.leavings() == []


@pytest.mark.parametrize("security", [OWN_PID, POD_PID])
async def test_nothing_stays_of_what_is_made_while_its_sandbox_is_stopped(
    world: ContainerWorld, security: ContainerSecurity
) -> None:
    world.runtime.on_create = partial(world.pods.stop, "pod")
    with pytest.raises(FailedPreconditionError, match="stopped"):
        await world.containers.create("pod", example_container(security=security))
    assert await world.leavings() == []


async def test_no_infra_container_comes_back_when_its_sandbox_is_removed(world: ContainerWorld) -> None:
    def remove_pod() -> None:
        (infra,) = [container.id for container in world.index.all() if container.infra]
        removing.append(asyncio.ensure_future(world.containers.remove(infra)))
        world.pods.sandboxes.clear()

    removing: list[asyncio.Future[None]] = []
    world.runtime.on_create = remove_pod
    with pytest.raises(NotFoundError):
        await world.containers.create("pod", example_container(security=POD_PID))
    await asyncio.gather(*removing, return_exceptions=True)  # it may have come too early, and is tried again
    assert await world.leavings() == []


async def test_an_end_that_can_not_be_recorded_is_later(world: ContainerWorld) -> None:
    container_id = await world.run()
    world.store.failures["put_container"] = UnavailableError("disk full")
    world.runtime.finish(container_id, 3)
    await asyncio.sleep(0.01)
    world.store.failures.clear()
    await world.containers.stop(container_id, 10)
    assert world.containers.get(container_id).exit_code == 3


async def test_what_a_deletion_left_goes_with_the_sandbox(world: ContainerWorld) -> None:
    container_id = await world.run()
    world.runtime.failures["delete"] = SystemCallError("EMFILE")
    await world.containers.stop(container_id, 10)
    world.runtime.failures.clear()
    await world.containers.stop_all("pod")
    assert world.runtime.made == {}


async def test_a_sandbox_stops_although_a_container_can_not_be_deleted(world: ContainerWorld) -> None:
    await world.run()
    world.runtime.failures["delete"] = SystemCallError("EBUSY")
    await world.containers.stop_all("pod")
    with pytest.raises(ExceptionGroup):
        await world.containers.remove_all("pod")


async def test_every_step_is_told(world: ContainerWorld) -> None:
    container_id = await world.run()
    await world.containers.remove(container_id)
    assert [event for told, event in world.told if told == container_id] == list(Event)


async def test_the_same_attempt_is_made_once(world: ContainerWorld) -> None:
    ids = await asyncio.gather(*(world.containers.create("pod", example_container()) for _ in range(3)))
    assert {*ids, await world.containers.create("pod", example_container())} == {ids[0]}


async def test_the_name_of_a_container_that_ran_is_reserved(world: ContainerWorld) -> None:
    container_id = await world.run()
    with pytest.raises(AlreadyExistsError, match=container_id):
        await world.containers.create("pod", example_container())


async def test_a_runtime_handler_that_is_not_configured_any_more_is_named(world: ContainerWorld) -> None:
    container_id = await world.run()
    await world.index.change(container_id, runtime_handler="kata")
    with pytest.raises(UnavailableError, match="runtime handler 'kata' cannot be used"):
        await world.containers.update(container_id, Resources(cpu_shares=512))
    world.pods.sandboxes["pod"] = replace(world.pods.get("pod"), runtime_handler="kata")
    with pytest.raises(UnavailableError, match="runtime handler 'kata' cannot be used"):
        await world.containers.create("pod", example_container("other", security=POD_PID))


async def test_a_sandbox_that_is_not_ready_takes_no_container(world: ContainerWorld) -> None:
    world.pods.sandboxes["pod"] = example_sandbox(state=SandboxState.STOPPED)
    with pytest.raises(FailedPreconditionError, match="stopped"):
        await world.containers.create("pod", example_container())


async def test_what_can_not_be_made_leaves_no_trace(world: ContainerWorld) -> None:
    with pytest.raises(InvalidArgumentError, match="working_dir"):
        await world.containers.create("pod", example_container(working_dir="\0"))
    assert await world.leavings() == []


async def test_an_unknown_image_leaves_no_trace(world: ContainerWorld) -> None:
    world.images.roots.clear()
    with pytest.raises(NotFoundError, match="busybox"):
        await world.containers.create("pod", example_container())
    assert await world.leavings() == []


@pytest.mark.parametrize(
    "part",
    ["store.put_container", "images.hold", "images.write_hold", "rootfs.mount", "node.read_in_root", "runtime.create"],
)
async def test_whatever_fails_is_undone(world: ContainerWorld, part: str) -> None:
    owner, method = part.split(".")
    getattr(world, owner).failures[method] = SystemCallError("ENOSPC")
    with pytest.raises(SystemCallError):
        await world.containers.create("pod", example_container())
    assert await world.leavings() == []


async def test_a_retry_clears_what_could_not_be_undone(world: ContainerWorld) -> None:
    world.runtime.failures |= {"create": SystemCallError("x"), "delete": SystemCallError("y")}
    with pytest.raises(SystemCallError):
        await world.containers.create("pod", example_container())
    world.runtime.failures.clear()
    container_id = await world.containers.create("pod", example_container())
    assert [container.id for container in await world.store.load_containers()] == [container_id]


async def test_containers_that_share_a_pid_namespace_get_one_infra_container(world: ContainerWorld) -> None:
    first, second = [await world.run(name, security=POD_PID) for name in ("a", "b")]
    (infra,) = [container for container in world.index.all() if container.infra]
    joined = {"type": "pid", "path": f"/proc/{infra.pid}/ns/pid"}
    assert all(joined in world.runtime.made[each]["linux"]["namespaces"] for each in (first, second))
    assert infra.id not in {each.id for each in world.index.visible()}


@pytest.mark.parametrize("mode", [NamespaceMode.POD, NamespaceMode.TARGET])
async def test_no_pid_namespace_is_joined_of_whoever_has_the_id_of_one_that_ended(
    world: ContainerWorld, mode: NamespaceMode
) -> None:
    await world.run("first", security=POD_PID)
    (holder,) = [each for each in world.index.all() if each.infra is (mode is NamespaceMode.POD)]
    joining = ContainerSecurity(namespaces=NamespaceOptions(pid=mode, target_id=holder.id))
    world.runtime.on_create = lambda: world.runtime.finish(holder.id, 137)
    with pytest.raises(FailedPreconditionError, match=f"{holder.id}, whose PID namespace was to be joined, has ended"):
        await world.containers.create("pod", example_container("second", security=joining))
    assert "second" not in {each.config.metadata.name for each in world.index.all()}


async def test_an_infra_container_is_made_by_an_oci_runtime_where_it_has_to_be(world: ContainerWorld) -> None:
    world.host = replace(world.host, selinux=True)
    await world.restart()
    await world.run(security=POD_PID)
    (infra,) = [container for container in world.index.all() if container.infra]
    assert world.runtime.made[infra.id]["process"]["args"] == ["/catatonit", "-P"]


async def test_the_infra_container_ends_with_the_sandbox(world: ContainerWorld) -> None:
    await world.run(security=POD_PID)
    await world.containers.stop_all("pod")
    assert [(container.state, container.infra) for container in world.index.all()] == [(State.EXITED, False)]
    await world.containers.remove_all("pod")
    assert await world.leavings() == []


async def test_a_new_server_finds_out_that_an_infra_container_has_ended(world: ContainerWorld) -> None:
    await world.run(security=POD_PID)
    (infra,) = [container for container in world.index.all() if container.infra]
    world.runtime.finish(infra.id, 255)
    await world.restart()
    assert world.index.get(infra.id).state is State.EXITED
