"""Which user namespaces a pod may have, and what it gets of one."""

from __future__ import annotations

import re

import pytest

from crishim.core.errors import InvalidArgumentError, SystemCallError
from crishim.model.pod import IDMapping, NamespaceMode, NamespaceOptions, PodConfig, SandboxSecurity, UserNamespace
from crishim.model.sandbox import State
from crishim.sandbox.sysctls import for_groups, unprivileged_network
from crishim.sandbox.user_namespace import check_user_namespace
from crishim.testing.world import World, example_pod

POD, NODE = NamespaceMode.POD, NamespaceMode.NODE
IDS = (IDMapping(host_id=65536, container_id=0, length=65536), IDMapping(200000, 70000, 10))
USERNS = UserNamespace(POD, IDS, IDS)


def with_ids(*ids: IDMapping) -> NamespaceOptions:
    return NamespaceOptions(userns=UserNamespace(POD, IDS, ids))


def pod(**options: NamespaceMode) -> PodConfig:
    namespaces = NamespaceOptions(**options, userns=USERNS)  # type: ignore[arg-type]
    return example_pod(security=SandboxSecurity(namespaces=namespaces))


REFUSED = {
    "no ids": (with_ids(), "gids: expected 1 to 340 mappings; found 0"),
    "too many": (with_ids(*[IDMapping(n + 1, n, 1) for n in range(341)]), "found 341"),
    "empty": (with_ids(IDMapping(1, 0, 0)), "gids[0]: expected 1 or more ids"),
    "beyond": (with_ids(IDMapping(2**32 - 2, 0, 2)), "gids[0]: expected 1 or more ids below 4294967295"),
    "twice": (with_ids(IDMapping(1, 0, 5), IDMapping(10, 4, 1)), "gids: container_id: 4 is mapped twice"),
    "twice on the node": (with_ids(IDMapping(9, 0, 5), IDMapping(5, 5, 5)), "gids: host_id: 9 is mapped twice"),
    "no root": (with_ids(IDMapping(1, 1, 5)), "gids: expected container_id 0 to be mapped"),
    "ids of the node": (NamespaceOptions(userns=UserNamespace(NODE, IDS)), "expected no mappings with mode NODE"),
    "pid": (NamespaceOptions(pid=NODE, userns=USERNS), "namespace_options.pid: NODE is not possible"),
    "ipc": (NamespaceOptions(ipc=NODE, userns=USERNS), "namespace_options.ipc: NODE is not possible"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_with_the_field_named(case: str) -> None:
    options, message = REFUSED[case]
    with pytest.raises(InvalidArgumentError, match=re.escape(message)):
        check_user_namespace(options)


@pytest.mark.parametrize(
    "options",
    [
        NamespaceOptions(userns=USERNS),
        NamespaceOptions(network=NODE, userns=USERNS),
        NamespaceOptions(pid=NODE, ipc=NODE),
        NamespaceOptions(pid=NODE, userns=UserNamespace()),
        with_ids(IDMapping(0, 0, 2**32 - 1)),
    ],
)
def test_allowed(options: NamespaceOptions) -> None:
    check_user_namespace(options)


@pytest.mark.parametrize(
    ("ids", "on_node"), [((5, 5), (65541, 65541)), ((70009, 0), (200009, 65536)), ((70010, 66000), (65536, 65536))]
)
def test_what_is_not_mapped_is_given_to_root(ids: tuple[int, int], on_node: tuple[int, int]) -> None:
    assert USERNS.on_node(*ids) == on_node


def test_ping_is_for_the_groups_that_are_mapped() -> None:
    defaults = unprivileged_network(ports=True, icmp=True)
    assert for_groups(defaults, IDS) == {**defaults, "net.ipv4.ping_group_range": "0 65535"}
    assert for_groups({}, IDS) == {}


async def test_it_is_pinned_and_the_pods_files_are_its_roots(world: World) -> None:
    sandbox = world.sandboxes.get(await world.sandboxes.run(pod(), ""))
    assert sandbox.id_map is not None
    assert sandbox.id_map.namespace in world.namespaces.pins
    assert world.namespaces.specs[0].userns == USERNS
    names = {path.rpartition("/")[2]: owner for path, owner in world.mounts.owners.items()}
    assert names == dict.fromkeys(["resolv.conf", "hostname", "hosts", "shm"], (65536, 65536))


async def test_the_verbose_status_tells_it(world: World) -> None:
    info = world.sandboxes.info(world.sandboxes.get(await world.sandboxes.run(pod(), "")))
    path = info["userNamespace"]["path"]
    assert info["userNamespace"]["uids"][0] == {"host_id": 65536, "container_id": 0, "length": 65536}
    assert {"type": "user", "path": path} in info["runtimeSpec"]["linux"]["namespaces"]


async def test_a_pod_without_one_is_given_nothing(world: World) -> None:
    sandbox = world.sandboxes.get(await world.sandboxes.run(example_pod(), ""))
    assert (sandbox.id_map, world.mounts.owners) == (None, {})
    assert world.sandboxes.info(sandbox)["userNamespace"] is None


async def test_a_handler_that_can_not_is_named_with_the_reason(world: World) -> None:
    with pytest.raises(InvalidArgumentError, match="runtime handler 'old' cannot have user namespaces: it has none"):
        await world.sandboxes.run(pod(), "old")
    await world.sandboxes.run(example_pod(), "old")


async def test_files_that_can_not_be_given_away_leave_nothing(world: World) -> None:
    world.mounts.failures["give"] = SystemCallError("chown: EPERM")
    with pytest.raises(SystemCallError, match="EPERM"):
        await world.sandboxes.run(pod(), "")
    assert await world.leavings() == []


async def test_after_a_restart_a_pod_whose_user_namespace_is_gone_is_not_ready(world: World) -> None:
    sandbox = world.sandboxes.get(await world.sandboxes.run(pod(network=NODE), ""))
    await world.restart()
    assert world.sandboxes.get(sandbox.id).state is State.READY
    world.namespaces.pins.clear()
    await world.restart()
    after = world.sandboxes.get(sandbox.id)
    assert (after.state, after.reason) == (State.STOPPED, f"its user namespace {sandbox.namespaces.user} is gone")
