"""Interfaces are counted in pods that do what they can with their network, descriptors in real control groups."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from secrets import token_hex

import pytest
from msgspec.structs import replace

from cni_runtime.testing.host import Host
from crishim.drivers.cgroups.hierarchy import Hierarchies, hierarchies
from crishim.drivers.mounts import read_mounts
from crishim.drivers.process.identity import identify
from crishim.drivers.usage import UsageDriver
from crishim.model.container import Container
from crishim.model.sandbox import NamespacePaths, Sandbox
from crishim.testing.container_world import example_container, example_sandbox
from tests.lab.node import eventually

pytestmark = pytest.mark.anyio

DRIVER = UsageDriver(Hierarchies(), lambda _: "", lambda _: "", Path("/"), Path("/"))


def pod(netns: str) -> Sandbox:
    return replace(example_sandbox(netns), namespaces=NamespacePaths(net=netns))


async def test_no_pod_keeps_the_numbers_of_another_away(host_netns: Host) -> None:
    pods = [str(host_netns.add_netns(name)) for name in ("odd", "good")]
    for netns, name in zip(pods, (b"\xff", b"eth0"), strict=True):
        veth = ("ip", "link", "add", os.fsdecode(name), "type", "veth", "peer", "name", "peer")
        host_netns.run(*veth, netns=Path(netns))
    found = await DRIVER.interfaces(list(map(pod, (pods[0], "/gone", "no path\0", pods[1]))))
    assert [{each.name for each in found[netns]} for netns in pods] == [{"\\xff", "peer"}, {"eth0", "peer"}]


@pytest.fixture
def group() -> Iterator[str]:
    """A control group in the hierarchies that are looked into, with one below it."""
    name = f"/crishim-test-{token_hex(4)}"
    directories = hierarchies(read_mounts()).few_directories(name)
    for directory in directories:
        (directory / "below").mkdir(parents=True)
    yield name
    for path in (path for directory in directories for path in (directory / "below", directory)):
        assert eventually(lambda path=path: not (path / "cgroup.procs").read_text())  # type: ignore[misc]
        path.rmdir()


def container(container_id: str, pid: int = 0) -> Container:
    process = identify(pid)
    return Container(
        id=container_id,
        sandbox_id="pod",
        config=example_container(),
        runtime_handler="",
        created_at=1,
        boot_id="",
        pid=pid,
        pid_start=process.start if process else 0,
    )


def inmate(undo: ExitStack, group: Path, *sockets: socket.socket) -> int:
    """The id of a process in a group, with three standard streams, sockets, and at most 77 descriptors."""
    argv = ["sh", "-c", f"echo $$ > {group}/cgroup.procs; ulimit -Sn 77; echo ready; read -r line"]
    given, pipe = [each.fileno() for each in sockets], subprocess.PIPE
    started = subprocess.Popen(argv, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, pass_fds=given)
    undo.enter_context(started)
    undo.callback(started.kill)
    assert started.stdout
    assert started.stdout.readline() == b"ready\n"
    return started.pid


async def test_what_a_container_has_open(group: str) -> None:
    mounted = hierarchies(read_mounts())
    driver = UsageDriver(mounted, lambda each: group if each.id == "c1" else f"{group}/{each.id}", str, Path(), Path())
    (place, *_) = mounted.few_directories(group)
    with ExitStack() as undo:
        one, other = (undo.enter_context(each) for each in socket.socketpair())
        first = inmate(undo, place, one, other)
        inmate(undo, place / "below", one)
        found = await driver.descriptors([container("c1", first), container("gone")])
    assert {key: (each.opened, each.sockets, each.soft_limit) for key, each in found.items()} == {"c1": (9, 3, 77)}
