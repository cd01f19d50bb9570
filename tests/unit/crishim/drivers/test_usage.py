from __future__ import annotations

import os
from pathlib import Path

import pytest
from msgspec.structs import replace

from crishim.container.handlers import of_handler
from crishim.drivers.cgroups.hierarchy import Hierarchies
from crishim.drivers.usage import InterfaceUsage, UsageDriver, parse_interfaces
from crishim.model.container import Container
from crishim.model.pod import PodConfig, PodMetadata
from crishim.model.sandbox import Sandbox
from crishim.testing.container_world import example_container, example_sandbox

DEV = b"""\
Inter-|   Receive                                             |  Transmit
 face |bytes packets errs drop fifo frame compressed multicast|bytes packets errs drop fifo colls carrier compressed
    lo:  100       1    0    0    0     0          0         0   100       1    0    0    0     0       0          0
  eth0: 1510      17    2    4    0     0          0         0   472       6    3    5    0     0       0          0
"""


def test_the_counters_of_every_interface_but_lo() -> None:
    assert parse_interfaces(DEV) == (InterfaceUsage("eth0", 1510, 17, 2, 4, 472, 6, 3, 5),)


@pytest.mark.parametrize(
    ("name", "shown"),
    [(b"\xff\xfe0", "\\xff\\xfe0"), ("é".encode(), "é"), (b"a\x1cb", "a\x1cb"), (b"\xc2\x85", "\x85")],
)
def test_a_pod_may_give_its_interfaces_any_name(name: bytes, shown: str) -> None:
    (found,) = parse_interfaces(DEV.replace(b"eth0", name))
    assert found == InterfaceUsage(shown, 1510, 17, 2, 4, 472, 6, 3, 5)


def driver_in(directory: Path) -> UsageDriver:
    return UsageDriver(Hierarchies(), lambda _: "", lambda _: "", directory, directory / "pods")


def container(container_id: str) -> Container:
    config = example_container()
    return Container(id=container_id, sandbox_id="p", config=config, runtime_handler="", created_at=1, boot_id="")


@pytest.mark.anyio
async def test_a_group_that_is_not_known_keeps_no_other_away() -> None:
    def group_of(each: Container | Sandbox) -> str:
        if each.id == "lost":
            return of_handler({}, "kata")
        return "/group"

    driver = UsageDriver(Hierarchies(), group_of, group_of, Path("/"), Path("/"))
    pods = [
        replace(example_sandbox(name), config=PodConfig(PodMetadata("web", "u1", "shop"), cgroup_parent="/pods"))
        for name in ("lost", "pod")
    ]
    found = await driver.groups([container("lost"), container("c1")], pods)
    assert set(found) == {"c1", "pod"}


@pytest.mark.anyio
async def test_anonymous_volumes_count(tmp_path: Path) -> None:
    (tmp_path / "c1/upper").mkdir(parents=True)
    (tmp_path / "c1/volumes/0").mkdir(parents=True)
    (tmp_path / "c1/volumes/0/file").write_bytes(b"x" * 100_000)
    found = await driver_in(tmp_path).disk(container("c1"))
    assert (found.bytes >= 100_000, found.inodes) == (True, 4)


async def test_what_is_written_to_the_files_of_the_pod_counts(tmp_path: Path) -> None:
    """Root of a container can write any amount to /etc/hostname."""
    (tmp_path / "pods/p").mkdir(parents=True)
    (tmp_path / "pods/p/hostname").write_bytes(b"x" * 100_000)
    found = await driver_in(tmp_path).disk(container("c1"))
    assert (found.bytes >= 100_000, found.inodes) == (True, 2)


async def test_all_layers_are_on_the_file_system_of_their_parent(tmp_path: Path) -> None:
    (tmp_path / "c1/upper/etc").mkdir(parents=True)
    found, whole = await driver_in(tmp_path).disk(container("c1")), os.statvfs(tmp_path)
    assert (found.mountpoint, found.inodes) == (str(tmp_path), 2)
    assert (found.capacity, found.inodes_total) == (whole.f_blocks * whole.f_frsize, whole.f_files)
