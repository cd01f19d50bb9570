"""Namespaces that a user namespace owns, made, pinned and removed by the driver on a real kernel."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from crishim.core.errors import CrishimError, SystemCallError
from crishim.drivers.mounts import read_mounts
from crishim.drivers.namespaces import NamespaceDriver, pins
from crishim.model.pod import IDMapping, NamespaceMode, UserNamespace
from crishim.model.sandbox import NamespacePaths, NamespaceSpec
from tests.lab.node import eventually

pytestmark = pytest.mark.anyio

NETNS, STATE = Path("/run/netns"), Path("/run/crishim/a")
PATHS = NamespacePaths(net=f"{NETNS}/cni-a", ipc=f"{STATE}/ipc", uts=f"{STATE}/uts", user=f"{STATE}/user")
UIDS = (IDMapping(host_id=65536, container_id=0, length=65536), IDMapping(300000, 100000, 10))
GIDS = (IDMapping(host_id=131072, container_id=0, length=65536),)
USERNS = UserNamespace(NamespaceMode.POD, UIDS, GIDS)
SPEC = NamespaceSpec(PATHS, hostname="web-0", loopback_up=True, userns=USERNS)
DRIVER = NamespaceDriver()


def leftovers() -> list[str]:
    """Every file and every pinned namespace, and every process in another user namespace."""
    files = [str(path) for top in (NETNS, STATE) for path in top.rglob("*") if not path.is_dir()]
    pinned = [mount.point for mount in read_mounts() if mount.filesystem == "nsfs"]
    return files + pinned + [line for line in _run(["ps", "-eo", "args"]).splitlines() if line.startswith("cat")]


def _run(argv: Sequence[str]) -> str:
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout.strip()


def inside(*command: str) -> str:
    return _run(["nsenter", *(f"--{kind}={path}" for kind, path in pins(PATHS).items()), *command])


def owner(path: str | None) -> int:
    """The inode of the user namespace that owns the one pinned at ``path``."""
    code = "import fcntl,os,sys; print(os.fstat(fcntl.ioctl(open(sys.argv[1]), 0xB701)).st_ino)"  # NS_GET_USERNS
    return int(_run(["python3", "-c", code, str(path)]))


async def test_the_others_are_owned_by_the_user_namespace() -> None:
    inode = await DRIVER.create(SPEC)
    assert inside("id", "-u") == "0"
    assert [line.split() for line in inside("cat", "/proc/self/uid_map").splitlines()] == [
        ["0", "65536", "65536"],
        ["100000", "300000", "10"],
    ]
    assert inside("cat", "/proc/self/gid_map").split() == ["0", "131072", "65536"]
    user = DRIVER.inode(str(PATHS.user))
    assert {owner(path) for path in (PATHS.net, PATHS.ipc, PATHS.uts)} == {user}
    assert DRIVER.inode(str(PATHS.net)) == inode
    await DRIVER.remove(PATHS)
    assert leftovers() == []


async def test_they_are_prepared_as_any_pods() -> None:
    await DRIVER.create(SPEC)
    assert inside("hostname") == "web-0"
    assert "UP" in inside("ip", "-o", "link", "show", "lo")


SYSCTLS = {
    "net.ipv4.ip_unprivileged_port_start": "80",
    "net.ipv4.ping_group_range": "0 65535",
    "kernel.shm_rmid_forced": "1",
    "kernel.msgmax": "4096",
    "kernel.sem": "100 32000 32 128",
    "fs.mqueue.msg_max": "20",
    "kernel.domainname": "shop.example",
}


async def test_sysctls_of_every_kind_mean_what_they_mean_inside() -> None:
    await DRIVER.create(replace(SPEC, sysctls=SYSCTLS))
    found = inside("cat", *(f"/proc/sys/{name.replace('.', '/')}" for name in SYSCTLS)).splitlines()
    assert [value.split() for value in found] == [value.split() for value in SYSCTLS.values()]
    await DRIVER.write_sysctls(PATHS, {"net.ipv4.conf.lo.forwarding": "1"})
    assert inside("cat", "/proc/sys/net/ipv4/conf/lo/forwarding") == "1"


async def test_what_a_container_needs_may_be_mounted_inside() -> None:
    await DRIVER.create(SPEC)
    script = "mount -t mqueue x /mnt && mount -t sysfs x /mnt && ls /mnt/class/net"
    assert inside("unshare", "--mount", "sh", "-c", script) == "lo"


async def test_a_pod_on_the_nodes_network_has_a_user_namespace_too() -> None:
    paths = replace(PATHS, net=None, uts=None)
    assert await DRIVER.create(replace(SPEC, paths=paths)) == 0
    assert owner(paths.ipc) == DRIVER.inode(str(paths.user))
    await DRIVER.remove(paths)
    assert leftovers() == []


OVERLAPPING = (*UIDS, IDMapping(400000, 5, 5))
BAD: dict[str, tuple[dict[str, Any], str]] = {
    "ids": ({"userns": UserNamespace(NamespaceMode.POD, OVERLAPPING, GIDS)}, r"write uid_map '0 65536.*: EINVAL"),
    "sysctl": ({"sysctls": {"kernel.msgmax": "many"}}, r"in the user namespace: .*\(/proc/sys/kernel/msgmax\)"),
    "groups": ({"sysctls": {"net.ipv4.ping_group_range": "0 65536"}}, "expected two groups of the user namespace"),
    "hostname": ({"hostname": "x" * 65}, r"sethostname 'x+': EINVAL"),
    "pin": ({"paths": replace(PATHS, ipc="/proc/nothing/ipc")}, r"mkdir /proc/nothing"),
}


@pytest.mark.parametrize("case", BAD)
async def test_a_failed_preparation_leaves_nothing(case: str) -> None:
    changes, message = BAD[case]
    with pytest.raises(CrishimError, match=message):
        await DRIVER.create(replace(SPEC, **changes))
    assert leftovers() == []


async def test_a_node_that_allows_none_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "unshare").write_text("#!/bin/sh\necho 'unshare failed: No space left on device' >&2\nexit 1\n")
    (tmp_path / "unshare").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    with pytest.raises(SystemCallError, match="unshare --user --net --ipc --uts: unshare failed: No space left"):
        await DRIVER.create(SPEC)
    assert leftovers() == []


async def test_a_cancelled_creation_is_whole_so_that_its_undo_finds_it() -> None:
    task = asyncio.ensure_future(DRIVER.create(SPEC))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert inside("id", "-u") == "0"
    await DRIVER.remove(PATHS)
    assert leftovers() == []


HELD = """
import anyio, os
from crishim.drivers.user_namespaces import holding
from tests.netns.drivers.test_user_namespaces import USERNS
async def main():
    async with holding(USERNS) as held:
        os.write(1, os.readlink(held.namespaces + "/user").encode())
        os.kill(os.getpid(), 9)
anyio.run(main)
"""


def test_a_process_that_is_held_ends_with_its_server() -> None:
    ended = subprocess.run([sys.executable, "-c", HELD], check=False, stdout=subprocess.PIPE)
    assert (ended.returncode, ended.stdout[:5]) == (-9, b"user:")
    assert eventually(lambda: not leftovers())
