"""Mounts made and removed by the driver on a real kernel."""

from __future__ import annotations

import fcntl
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from crishim.core.errors import SystemCallError
from crishim.drivers.mount_driver import MountDriver
from crishim.drivers.mounts import make_shared, mounted_under, read_mounts
from crishim.drivers.syscalls import opened
from crishim.drivers.tree import tree_usage
from crishim.model.files import FileTree

pytestmark = pytest.mark.anyio

ROOT = Path("/run/crishim/a")
SHM = ROOT / "shm dir\t\\"
DRIVER = MountDriver()


@pytest.fixture(autouse=True)
def directories() -> None:
    SHM.mkdir(parents=True)


def options(path: Path) -> set[str]:
    return set(run("findmnt", "--noheadings", "--output", "OPTIONS", "--mountpoint", str(path)).split(","))


def run(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def make(*paths: Path) -> None:
    for path in paths:
        path.mkdir(parents=True)


async def mount_shm(path: Path | str) -> None:
    await DRIVER.make_tree(FileTree(directories=(), files={}, shm=str(path)))


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def test_shm_is_as_pods_expect_it() -> None:
    await mount_shm(SHM)
    assert {"nosuid", "nodev", "noexec", "size=65536k"} <= options(SHM)
    assert SHM.stat().st_mode & 0o7777 == 0o1777


async def test_a_mount_needs_its_directory() -> None:
    with pytest.raises(SystemCallError, match=r"mount tmpfs /run/nowhere: ENOENT"):
        await mount_shm("/run/nowhere")


async def test_all_layers_are_unmounted_also_when_in_use() -> None:
    for _ in range(3):
        await mount_shm(SHM)
    with (SHM / "busy").open("w"):
        await DRIVER.unmount(str(SHM))
    assert mounted_under(str(SHM)) == []
    await DRIVER.unmount(str(SHM))


async def test_mounts_are_found_at_and_below_in_their_order() -> None:
    beside = ROOT.with_name("ab")
    make(beside)
    for path in (ROOT, beside):
        run("mount", "--bind", str(path), str(path))
    await mount_shm(SHM)
    assert mounted_under(str(ROOT)) == [str(ROOT), str(SHM)]


async def test_a_directory_reached_through_a_link_shows_its_mounts() -> None:
    await mount_shm(SHM)
    run("ln", "-s", str(ROOT), "/run/link")
    assert mounted_under("/run/link") == [str(SHM)]


async def test_a_tree_is_removed_without_reaching_into_its_mounts() -> None:
    precious = Path("/run/precious")
    make(precious / "below", ROOT / "bound")
    (precious / "file").write_text("kept")
    run("mount", "--rbind", str(precious), str(ROOT / "bound"))
    (ROOT / "file").touch()
    run("mount", "--bind", str(precious / "file"), str(ROOT / "file"))
    await mount_shm(SHM)
    await mount_shm(ROOT / "bound/below")
    await DRIVER.remove_trees(str(ROOT))
    assert run("ls", "/run/crishim", str(precious)).split() == ["/run/crishim:", "/run/precious:", "below", "file"]
    assert (mounted_under("/run/crishim"), (precious / "file").read_text()) == ([], "kept")


async def test_what_is_mounted_is_not_of_a_tree() -> None:
    """Neither another file system nor a directory of the same one."""
    precious = Path("/run/precious")
    make(precious / "below", ROOT / "bound", ROOT / "own")
    run("mount", "--bind", str(precious), str(ROOT / "bound"))
    await mount_shm(SHM)
    assert tree_usage(ROOT)[1] == 2


async def test_two_hundred_leave_nothing() -> None:
    mounted_under("/run")
    before = (open_files(), mounted_under("/"))
    for number in range(200):
        path = f"/run/crishim/{number}"
        await DRIVER.make_dir(path, 0o711)
        await mount_shm(path)
        await DRIVER.remove_trees(path)
    assert (open_files(), mounted_under("/")) == before
    assert run("ls", "/run/crishim") == "a"


def test_a_directory_is_mounted_on_itself_only_once() -> None:
    places = [ROOT / str(number) for number in range(50)]
    make(*places)
    start = threading.Barrier(4)

    def share(place: Path) -> None:
        start.wait()
        make_shared(str(place))

    with ThreadPoolExecutor(4) as pool:
        for place in places:
            list(pool.map(share, 4 * [place]))
    points = [mount.point for mount in read_mounts()]
    assert [points.count(str(place)) for place in places] == 50 * [1]


def test_who_keeps_the_lock_of_a_directory_keeps_nobody_from_sharing_it() -> None:
    """Any user of the node can open /run/netns."""
    with opened(str(ROOT)) as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        for _ in range(2):
            sharing = threading.Thread(target=make_shared, args=[str(ROOT)], daemon=True)
            sharing.start()
            sharing.join(5)
            assert not sharing.is_alive()
    assert [mount.point for mount in read_mounts()].count(str(ROOT)) == 1
