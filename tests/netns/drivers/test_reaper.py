"""Orphans are reaped, and nobody else's children."""

from __future__ import annotations

import asyncio
import signal
import subprocess
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from cni_runtime.testing.shortage import no_descriptors_left
from crishim.drivers.process.child import Child
from crishim.drivers.process.identity import read_stat, send
from crishim.drivers.process.reaper import adopt_orphans, reap_orphans
from crishim.drivers.process.spawn import Program

pytestmark = pytest.mark.anyio

GRACE, FOREVER = 0.2, 1000.0


@asynccontextmanager
async def reaping(grace: float = GRACE) -> AsyncIterator[None]:
    adopt_orphans()
    task = asyncio.create_task(reap_orphans(grace))
    yield
    task.cancel()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110  # a process tells nobody
            await asyncio.sleep(0.01)


async def start(*argv: str) -> Child:
    return await Child.start(Program(argv=argv, env={"PATH": "/usr/sbin:/usr/bin:/bin"}))


def children(child: Child) -> list[int]:
    return [int(pid) for pid in Path(f"/proc/{child.pid}/task/{child.pid}/children").read_text().split()]


async def orphan(tmp_path: Path, script: str) -> int:
    """Start ``script`` from a process that ends at once; the id of what it leaves."""
    file = tmp_path / "pid"
    assert await (await start("/bin/sh", "-c", f"({script}) & echo $! > {file}")).wait() == 0
    return int(file.read_text())


async def left_in_namespace() -> tuple[Child, int]:
    """The parent of a PID namespace's first process; and a process of that namespace that is left to this one."""
    namespace = await start("unshare", "--pid", "--fork", "sleep", "1000")
    await until(lambda: len(children(namespace)) == 1)
    entering = await start("nsenter", "--target", str(children(namespace)[0]), "--pid", "sleep", "0.3")
    await until(lambda: len(children(entering)) == 1)
    left = children(entering)[0]
    send(entering.identify(), signal.SIGKILL)
    await entering.wait()
    return namespace, left


def is_gone(pid: int) -> bool:
    return read_stat(pid) is None


def is_logged(logs: Sequence[Mapping[str, object]], event: str, times: int) -> bool:
    return [entry["event"] for entry in logs].count(event) == times


async def test_an_orphan_is_reaped_after_a_while(tmp_path: Path) -> None:
    async with reaping():
        pid = await orphan(tmp_path, "exec sleep 0.05")
        await until(lambda: (stat := read_stat(pid)) is not None and stat.has_ended)
        await until(partial(is_gone, pid))


async def test_an_orphan_is_not_reaped_before(tmp_path: Path) -> None:
    async with reaping(FOREVER):
        pid = await orphan(tmp_path, "exec sleep 0.05")
        await asyncio.sleep(0.3)
        assert read_stat(pid) is not None


async def test_an_orphan_of_another_pid_namespace_is_reaped_at_once() -> None:
    """It would keep the first process of that namespace from ending."""
    async with reaping(FOREVER):
        namespace, pid = await left_in_namespace()
        await until(partial(is_gone, pid))
        await namespace.end()
        assert namespace.status == -9


async def test_children_of_others_are_left_to_them() -> None:
    async with reaping():
        theirs = subprocess.Popen(["sh", "-c", "exit 7"])  # noqa: ASYNC220  # it does not wait
        ours = await start("sh", "-c", "exit 8")
        asyncios = await asyncio.create_subprocess_exec("sh", "-c", "exit 9")
        assert (await asyncios.wait(), await ours.wait()) == (9, 8)
        await asyncio.sleep(GRACE / 2)
        assert theirs.wait() == 7


async def test_an_orphan_can_be_adopted(tmp_path: Path) -> None:
    async with reaping():
        child = Child.adopt(await orphan(tmp_path, "sleep 0.1; exit 5"))
        await asyncio.sleep(3 * GRACE)
        assert await child.wait() == 5


async def test_an_orphan_that_was_reaped_still_tells_how_it_ended(tmp_path: Path) -> None:
    async with reaping():
        pid = await orphan(tmp_path, "sleep 0.05; exit 6")
        await until(partial(is_gone, pid))
        assert await Child.adopt(pid).wait() == 6


async def test_when_orphans_can_not_be_looked_at_they_wait_and_it_is_logged_once(tmp_path: Path) -> None:
    with capture_logs() as logs:
        async with reaping():
            for times in (1, 2):
                pid = await orphan(tmp_path, "exec sleep 0.05")
                with no_descriptors_left():
                    await until(partial(is_logged, logs, "process.orphans_not_seen", times))
                    await asyncio.sleep(3 * GRACE)  # in which it is tried again
                    assert is_logged(logs, "process.orphans_not_seen", times)
                await until(partial(is_gone, pid))
