"""Namespaces made, pinned and removed by the driver on a real kernel."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import threading
import time
from pathlib import Path

import msgspec
import pytest

from cni_runtime.net.threads import waiting
from crishim.core.errors import InvalidArgumentError, SystemCallError
from crishim.drivers import syscalls
from crishim.drivers.mounts import read_mounts
from crishim.drivers.namespaces import NamespaceDriver
from crishim.model.sandbox import NamespacePaths, NamespaceSpec

pytestmark = pytest.mark.anyio

NETNS, STATE = Path("/run/netns"), Path("/run/crishim")
KINDS = ("net", "ipc", "uts")
DRIVER = NamespaceDriver()


def paths(name: str = "a") -> NamespacePaths:
    return NamespacePaths(net=f"{NETNS}/cni-{name}", ipc=f"{STATE}/{name}/ipc", uts=f"{STATE}/{name}/uts")


def leftovers() -> list[str]:
    """Every file and every pinned namespace."""
    files = [str(path) for top in (NETNS, STATE) for path in top.rglob("*") if not path.is_dir()]
    return files + [mount.point for mount in read_mounts() if mount.filesystem == "nsfs"]


def run(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def inside(pinned: NamespacePaths, *command: str) -> str:
    return run("nsenter", f"--net={pinned.net}", f"--ipc={pinned.ipc}", f"--uts={pinned.uts}", *command)


def read(path: str) -> str:
    return Path(path).read_text()


def touch(path: Path, text: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def count(directory: str) -> int:
    return len(list(Path(directory).iterdir()))


def own_namespaces() -> set[str]:
    """Those of every thread of this process."""
    return {str(file.readlink()) for kind in KINDS for file in Path("/proc/self/task").glob(f"*/ns/{kind}")}


def stray_threads() -> int:
    """How many of the threads that were to end have not, given a moment; those that wait for other work stay."""
    end = time.monotonic() + 2
    while (strays := count("/proc/self/task") - threading.active_count() - waiting()) and time.monotonic() < end:
        time.sleep(0.001)
    return strays


async def test_the_pod_has_its_own_and_the_node_keeps_its_own() -> None:
    before = own_namespaces()
    inode = await DRIVER.create(NamespaceSpec(paths(), hostname="web-0", loopback_up=True))
    assert inside(paths(), "hostname") == "web-0"
    assert "UP" in inside(paths(), "ip", "-o", "link", "show", "lo")
    assert inside(paths(), "readlink", "/proc/self/ns/net") == f"net:[{inode}]"
    assert (socket.gethostname() != "web-0", own_namespaces()) == (True, before)


async def test_loopback_stays_down_unless_asked() -> None:
    await DRIVER.create(NamespaceSpec(paths()))
    assert "DOWN" in inside(paths(), "ip", "-o", "link", "show", "lo")


async def test_sysctls_are_set_inside_and_only_there() -> None:
    sysctls = {
        "net.ipv4.ip_unprivileged_port_start": "80",
        "net/ipv4/conf/lo/forwarding": "1",
        "kernel.shm_rmid_forced": "1",
        "kernel.msgmax": "4096",
        "kernel.sem": "100 32000 32 128",
        "fs.mqueue.msg_max": "20",
        "kernel.domainname": "shop.example",
    }
    files = [f"/proc/sys/{name.replace('.', '/')}" for name in sysctls]
    node = [read(file) for file in files]
    await DRIVER.create(NamespaceSpec(paths(), sysctls=sysctls))
    found = inside(paths(), "cat", *files).splitlines()
    assert [value.split() for value in found] == [value.split() for value in sysctls.values()]
    assert [read(file) for file in files] == node


async def test_a_sysctl_of_a_late_interface_is_written_when_it_is_there() -> None:
    await DRIVER.create(NamespaceSpec(paths()))
    inside(paths(), "ip", "link", "add", "eth0.1", "type", "bridge")
    await DRIVER.write_sysctls(paths(), {"net.ipv4.conf.eth0/1.forwarding": "1"})
    assert inside(paths(), "cat", "/proc/sys/net/ipv4/conf/eth0.1/forwarding") == "1"


@pytest.mark.parametrize("missing", KINDS)
async def test_only_what_has_a_path_is_made(missing: str) -> None:
    some = msgspec.structs.replace(paths(), **{missing: None})
    inode = await DRIVER.create(NamespaceSpec(some))
    assert (inode == 0) == (missing == "net")
    assert not any(missing == Path(file).name for file in leftovers())
    await DRIVER.remove(some)
    assert leftovers() == []


async def test_mount_namespaces_made_before_see_what_is_pinned_and_removed() -> None:
    await DRIVER.create(NamespaceSpec(paths("first")))
    assert "cni-first" in run("ip", "netns", "list")
    # ip netns gives its child a mount namespace of its own, as a plugin's daemon has one.
    command = ["ip", "netns", "exec", "cni-first", "sh", "-c", "while read line; do cat /proc/self/mountinfo; done"]
    process = await asyncio.create_subprocess_exec(*command, stdin=-1, stdout=-1)
    await DRIVER.create(NamespaceSpec(paths("later")))
    await DRIVER.remove(paths("first"))
    seen, _ = await process.communicate(b"\n")
    assert (b"/run/netns/cni-later" in seen, b"/run/netns/cni-first" in seen) == (True, False)


async def test_the_directory_is_made_shared_once_with_ip_netns_as_with_us() -> None:
    run("ip", "netns", "add", "other")
    for name in ("a", "b"):
        await DRIVER.create(NamespaceSpec(paths(name)))
    assert [mount.point for mount in read_mounts()].count(str(NETNS)) == 1
    await DRIVER.remove(paths())
    assert DRIVER.inode(f"{NETNS}/other") is not None


BAD = {
    "sysctl value": ({"sysctls": {"kernel.msgmax": "many"}}, r"write sysctl kernel.msgmax='many': EINVAL"),
    "sysctl name": ({"sysctls": {"net.ipv4.nothing": "1"}}, r"write sysctl net.ipv4.nothing='1': ENOENT"),
    "hostname": ({"hostname": "x" * 65}, r"sethostname 'x+': EINVAL"),
}


@pytest.mark.parametrize("case", BAD)
async def test_a_failed_preparation_leaves_nothing(case: str) -> None:
    changes, message = BAD[case]
    with pytest.raises(SystemCallError, match=message):
        await DRIVER.create(NamespaceSpec(paths(), **changes))  # type: ignore[arg-type]
    assert leftovers() == []


@pytest.mark.parametrize("kind", KINDS)
async def test_a_failed_pin_takes_the_others_back_but_not_what_was_there(kind: str) -> None:
    taken = touch(Path(getattr(paths(), kind)), "not ours")
    with pytest.raises(SystemCallError, match=f"create {kind} namespace file {taken}: EEXIST"):
        await DRIVER.create(NamespaceSpec(paths()))
    assert (leftovers(), read(str(taken))) == ([str(taken)], "not ours")


async def test_a_failed_mount_takes_its_file_back() -> None:
    run("mount", "-t", "tmpfs", "none", "/proc")  # so the namespace has no file that could be bound
    with pytest.raises(SystemCallError, match=f"pin net namespace {paths().net}: ENOENT"):
        await DRIVER.create(NamespaceSpec(paths()))
    syscalls.umount2("/proc", 0)
    assert leftovers() == []


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (NamespacePaths(net=paths().net), "make shared mount /run/netns: EPERM"),
        (NamespacePaths(ipc=paths().ipc), "unshare ipc: EPERM"),
        (NamespacePaths(uts=f"{STATE}/none/uts"), "mkdir /run/crishim/none: EACCES"),
    ],
)
async def test_without_privileges_each_step_says_so(wanted: NamespacePaths, message: str) -> None:
    touch(NETNS / "file").unlink()
    touch(STATE / "a/file").unlink()
    os.seteuid(65534)
    with pytest.raises(SystemCallError, match=message):
        await DRIVER.create(NamespaceSpec(wanted))
    os.seteuid(0)
    assert leftovers() == []


async def test_a_sysctl_of_the_node_is_refused_before_anything() -> None:
    node_network = NamespacePaths(ipc=paths().ipc)
    with pytest.raises(InvalidArgumentError, match="no namespace of the pod's own"):
        await DRIVER.create(NamespaceSpec(node_network, sysctls={"net.ipv4.ip_forward": "1"}))
    assert leftovers() == []


async def test_removing_is_idempotent_and_finds_every_layer() -> None:
    await DRIVER.create(NamespaceSpec(paths()))
    run("mount", "--bind", "/proc/self/ns/net", str(paths().net))
    for _ in range(2):
        await DRIVER.remove(paths())
        assert leftovers() == []


async def test_a_file_left_by_a_half_made_pin_is_removed() -> None:
    touch(Path(str(paths().ipc)))
    await DRIVER.remove(paths())
    assert leftovers() == []


async def test_removing_goes_on_after_an_error_and_tells_it() -> None:
    await DRIVER.create(NamespaceSpec(paths()))
    with pytest.raises(ExceptionGroup) as raised:
        await DRIVER.remove(msgspec.structs.replace(paths(), net=str(STATE)))
    assert [str(error) for error in raised.value.exceptions] == ["unlink /run/crishim: EISDIR (Is a directory)"]
    assert leftovers() == [paths().net, paths().net]  # the file and the mount


async def test_an_inode_is_told_only_of_a_pinned_namespace() -> None:
    inode = await DRIVER.create(NamespaceSpec(paths()))
    touch(NETNS / "plain")
    assert DRIVER.inode(str(paths().net)) == inode
    for nothing in (NETNS / "plain", NETNS / "missing", NETNS, NETNS / "plain/x", Path("/dev/null")):
        assert DRIVER.inode(str(nothing)) is None


async def test_what_is_pinned_is_found_by_prefix() -> None:
    await DRIVER.create(NamespaceSpec(paths()))
    touch(NETNS / "cni-half")
    touch(NETNS / "other")
    assert await DRIVER.pinned(str(NETNS), "cni-") == [f"{NETNS}/cni-a", f"{NETNS}/cni-half"]
    assert await DRIVER.pinned("/run/nowhere", "cni-") == []


async def test_two_hundred_leave_no_thread_file_or_mount() -> None:
    await DRIVER.create(NamespaceSpec(paths()))
    await DRIVER.remove(paths())
    files, mounts = count("/proc/self/fd"), len(read_mounts())
    for number in range(200):
        await DRIVER.create(NamespaceSpec(paths(str(number)), hostname="x", loopback_up=True))
        await DRIVER.remove(paths(str(number)))
    assert (stray_threads(), count("/proc/self/fd"), len(read_mounts())) == (0, files, mounts)
    assert leftovers() == []


async def test_eight_at_once_are_eight() -> None:
    specs = [NamespaceSpec(paths(str(number)), hostname=f"pod-{number}") for number in range(8)]
    inodes = await asyncio.gather(*(DRIVER.create(spec) for spec in specs))
    assert len(set(inodes)) == 8
    assert [mount.point for mount in read_mounts()].count(str(NETNS)) == 1
    names = await asyncio.gather(*(asyncio.to_thread(inside, spec.paths, "hostname") for spec in specs))
    assert names == [spec.hostname for spec in specs]
    await asyncio.gather(*(DRIVER.remove(spec.paths) for spec in specs))
    assert leftovers() == []


async def test_a_cancelled_creation_is_whole_so_that_its_undo_finds_it() -> None:
    task = asyncio.ensure_future(DRIVER.create(NamespaceSpec(paths())))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await DRIVER.remove(paths())
    await asyncio.sleep(0.01)
    assert leftovers() == []


async def test_no_thread_stays_in_another_namespace() -> None:
    before = own_namespaces()
    await DRIVER.create(NamespaceSpec(paths()))
    await DRIVER.write_sysctls(paths(), {"net.ipv4.ip_forward": "1"})
    assert stray_threads() == 0
    assert own_namespaces() == before
