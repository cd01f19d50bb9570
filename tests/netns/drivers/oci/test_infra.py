"""Infra processes that no OCI runtime starts: whoever gets hold of one, such as a container that may trace it, finds
nothing of the node. And they are found and ended as containers are.
"""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from crishim.core.errors import SystemCallError
from crishim.drivers.infra.dressing import CATATONIT, InfraProcess, start
from crishim.drivers.infra.root import EmptyRoot
from crishim.drivers.namespaces import NamespaceDriver
from crishim.drivers.process.child import Child
from crishim.drivers.threads import run_alone
from crishim.model.container import Container
from crishim.model.sandbox import NamespacePaths, NamespaceSpec
from tests.netns.drivers.oci.lab import STATE, Lab, own_score, processes

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("lab", ["crun"], indirect=True)]  # which is not used

ROOT = Path(__file__).parents[4]
CONFINING = """import os, socket, sys
from crishim.drivers import credentials
from crishim.drivers.infra.system_calls import confine"""
PINNED = NamespacePaths(**{kind: f"/run/pinned/{kind}" for kind in ("net", "ipc", "uts")})
OF_NODE = NamespacePaths()


def ours(name: str) -> str:
    return of(name, "self")


def of(name: str, pid: int | str) -> str:
    return Path(f"/proc/{pid}/{name}").read_text()


def ask(*argv: str) -> tuple[int, str]:
    told = subprocess.run(argv, stdout=subprocess.PIPE, text=True, check=False, cwd=ROOT)
    return told.returncode, told.stdout


def inodes(*paths: str | None) -> list[int]:
    return [Path(path).stat().st_ino for path in paths if path]


def entries(directory: str) -> list[str]:
    return sorted(entry.name for entry in Path(directory).iterdir())


def links(directory: str) -> dict[str, str]:
    return {entry.name: str(entry.readlink()) for entry in Path(directory).iterdir()}


def fields(pid: int | str) -> dict[str, str]:
    lines = of("status", pid).splitlines()
    return {name: " ".join(value.split()) for name, _, value in (line.partition(":") for line in lines)}


def namespaces(pid: int | str) -> dict[str, int]:
    directory = f"/proc/{pid}/ns"
    return {name: inodes(f"{directory}/{name}")[0] for name in entries(directory)}


async def test_it_may_do_nothing(lab: Lab) -> None:
    status = fields((await lab.run_infra()).pid)
    assert {status[f"Cap{which}"] for which in ("Inh", "Prm", "Eff", "Bnd", "Amb")} == {"0" * 16}
    assert (status["NoNewPrivs"], status["Groups"]) == ("1", "")


async def test_what_it_may_ask_of_the_kernel_is_filtered(lab: Lab) -> None:
    assert fields((await lab.run_infra()).pid)["Seccomp"] == "2"


@pytest.mark.parametrize(
    "act",
    ["os.open('/', 0)", "socket.socket()", "os.pipe()", "os.memfd_create('m')", "os.eventfd(0)"],
)
async def test_nothing_can_be_opened_behind_the_filter(lab: Lab, act: str) -> None:
    confined = "credentials.give_up_privileges(); confine()"
    script = f"{CONFINING}\n{confined}\ntry: {act}\nexcept OSError as error: print(error.errno)\nsys.stdout.flush()"
    assert ask(sys.executable, "-c", script) == (0, f"{errno.ENOSYS}\n")


async def test_others_of_its_user_can_not_look_into_it(lab: Lab) -> None:
    pid = (await lab.run_infra()).pid
    user = fields(pid)["Uid"].split()[0]
    other = ("setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", "readlink")
    assert ask(*other, "/proc/self/root") == (0, "/\n")
    assert ask(*other, f"/proc/{pid}/root") == (1, "")


async def test_it_is_a_user_that_nobody_else_is(lab: Lab) -> None:
    found = [fields((await lab.run_infra(container_id=name)).pid) for name in ("a", "b")]
    users = [{int(number) for kind in ("Uid", "Gid") for number in status[kind].split()} for status in found]
    (first,), (second,) = users
    assert first != second
    assert min(first, second) >= 0x70000000


async def test_it_sees_nothing(lab: Lab) -> None:
    pid = (await lab.run_infra()).pid
    (mount,) = of("mountinfo", pid).splitlines()
    assert mount.split()[3:6] == ["/", "/", "ro,nosuid,nodev,relatime"]
    assert mount.split(" - ")[1].split()[0] == "tmpfs"
    assert entries(f"/proc/{pid}/root") == entries(f"/proc/{pid}/cwd") == ["catatonit", "nothing"]
    assert of("environ", pid) == ""


async def test_its_only_descriptors_lead_nowhere(lab: Lab) -> None:
    found = links(f"/proc/{(await lab.run_infra()).pid}/fd")
    own = {"3": "anon_inode:[signalfd]"}  # which it opens itself
    assert found | own == dict.fromkeys("012", "/nothing") | own


async def test_it_joins_the_namespaces_of_the_pod(lab: Lab) -> None:
    await NamespaceDriver().create(NamespaceSpec(PINNED))
    found, node = namespaces((await lab.run_infra(joined=PINNED)).pid), namespaces("self")
    assert {kind for kind in node if found[kind] == node[kind]} == {"user", "time", "time_for_children"}
    assert [found[kind] for kind in ("net", "ipc", "uts")] == inodes(PINNED.net, PINNED.ipc, PINNED.uts)


async def test_it_stays_in_those_of_the_node_otherwise(lab: Lab) -> None:
    found, node = namespaces((await lab.run_infra()).pid), namespaces("self")
    own = {kind for kind in node if found[kind] != node[kind]}
    assert own == {"pid", "pid_for_children", "mnt", "cgroup"}


async def test_no_two_see_the_same_mounts(lab: Lab) -> None:
    found = [namespaces((await lab.run_infra(container_id=name)).pid)["mnt"] for name in ("a", "b")]
    assert len(set(found)) == 2


@pytest.mark.parametrize(("name", "most"), [("Max processes", 1), ("Max address space", 16 << 20)])
async def test_whoever_takes_hold_of_it_gains_little(lab: Lab, name: str, most: int) -> None:
    limits = of("limits", (await lab.run_infra()).pid)
    (line,) = (line for line in limits.splitlines() if line.startswith(name))
    assert line.removeprefix(name).split()[:2] == [str(most)] * 2


async def test_the_server_stays_as_it_is(lab: Lab) -> None:
    def state() -> tuple[object, ...]:
        status = fields("self")
        kept = {name: status[name] for name in ("Uid", "Gid", "Groups", "CapEff", "CapBnd", "NoNewPrivs")}
        return kept, namespaces("self"), ours("mountinfo"), ours("limits"), Path("/proc/self/fd").stat().st_uid

    await lab.run_infra(container_id="first")  # which opens what is kept
    before = state()
    await lab.run_infra()
    assert state() == before


async def test_the_preference_of_the_kernel(lab: Lab) -> None:
    least = own_score()
    container = await lab.run_infra(oom_score_adj=least + 7)
    assert of("oom_score_adj", container.pid) == f"{least + 7}\n"
    assert os.getpriority(os.PRIO_PROCESS, container.pid) == 19


async def test_it_goes_on_without_the_server_and_is_ended_by_the_next(lab: Lab) -> None:
    container = await lab.run_infra()
    await lab.open()
    assert await lab.driver.ended(container) is None
    await end(lab, container)


async def test_its_end_is_noticed(lab: Lab) -> None:
    container = await lab.run_infra()
    os.kill(container.pid, 9)
    assert (await lab.driver.wait(container)).exit_code == 255
    await lab.driver.delete(container.id)
    assert lab.leftovers() == []


async def end(lab: Lab, container: Container) -> None:
    await lab.driver.kill_all(container)
    await lab.driver.wait(container)
    await lab.driver.delete(container.id)
    assert lab.leftovers() == []


async def test_a_living_one_can_be_deleted(lab: Lab) -> None:
    await lab.driver.delete((await lab.run_infra()).id)
    assert lab.leftovers() == []


async def test_many_at_once(lab: Lab) -> None:
    names = [f"c{number}" for number in range(8)]
    containers = await asyncio.gather(*(lab.run_infra(container_id=name) for name in names))
    assert len({container.pid for container in containers}) == 8
    await asyncio.gather(*(lab.driver.delete(name) for name in names))
    assert lab.leftovers() == []


async def test_nothing_is_left_for_a_caller_that_goes_away(lab: Lab) -> None:
    task = asyncio.create_task(lab.run_infra())
    while not lab.state("notes"):  # noqa: ASYNC110  # nobody tells
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert lab.leftovers() == []


async def test_nothing_is_left_when_a_namespace_is_gone(lab: Lab) -> None:
    with pytest.raises(SystemCallError, match="/run/nowhere: ENOENT"):
        await lab.run_infra(joined=NamespacePaths(net="/run/nowhere"))
    assert lab.leftovers() == []


@pytest.mark.parametrize("change", [Path.unlink, lambda path: path.write_text("no program")])
async def test_a_program_that_can_not_be_run_is_told(lab: Lab, change: Callable[[Path], object]) -> None:
    program = STATE / "program"
    shutil.copy(CATATONIT, program)
    root = EmptyRoot(program, STATE)
    await Child.take(await run_alone(start, InfraProcess(OF_NODE, 0), root, "label")).end()
    change(program)
    with pytest.raises(SystemCallError, match=r"program: ENOENT|start /catatonit: Exec format error"):
        await run_alone(start, InfraProcess(OF_NODE, 0), root, "label")
    assert processes() == []
