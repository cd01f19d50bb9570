from __future__ import annotations

import asyncio
import fcntl
import os
import shutil
import signal
from pathlib import Path

import pytest

from crishim.core.errors import NotFoundError, SystemCallError
from crishim.drivers import threads
from crishim.drivers.process.child import Child, note_reaped
from crishim.drivers.process.identity import ProcessId, read_stat
from crishim.drivers.process.search import group_members
from crishim.drivers.process.spawn import Program, is_child, spawn
from tests.unit.crishim.drivers.process.conftest import Until

pytestmark = pytest.mark.anyio


def shell(script: str, **others: object) -> Program:
    return Program(argv=("/bin/sh", "-c", script), env={"PATH": "/usr/bin:/bin"}, **others)  # type: ignore[arg-type]


@pytest.mark.parametrize(("script", "status"), [("exit 0", 0), ("exit 7", 7), ("kill -9 $$", -9)])
async def test_how_a_program_ends_is_known(script: str, status: int) -> None:
    child = await Child.start(shell(script))
    assert (child.status, is_child(child.pid)) == (None, True)
    assert await child.wait() == status
    assert (child.status, is_child(child.pid)) == (status, False)


async def test_a_program_runs_where_it_should_with_what_it_should(tmp_path: Path) -> None:
    script = 'echo "$PWD $FOO"; ls /proc/self/fd >&2; cat'
    out, err = (tmp_path / "out").open("w+"), (tmp_path / "err").open("w+")
    with out, err:
        program = Program(
            argv=("/bin/sh", "-c", script),
            env={"PATH": "/usr/bin:/bin", "FOO": "bar"},
            directory=tmp_path,
            stdout=out.fileno(),
            stderr=err.fileno(),
        )
        assert await (await Child.start(program)).wait() == 0
    assert (tmp_path / "out").read_text() == f"{tmp_path} bar\n"
    assert len((tmp_path / "err").read_text().split()) == 4  # three streams, and the directory that ls reads


async def test_descriptors_are_handed_down_under_their_numbers() -> None:
    reading, writing = os.pipe()
    child = await Child.start(shell(f"echo there >/proc/self/fd/{writing}", hand_down=(writing,)))
    os.close(writing)
    assert await child.wait() == 0
    assert os.read(reading, 10) == b"there\n"
    os.close(reading)


async def test_all_of_the_group_is_killed(until: Until) -> None:
    child = await Child.start(shell("sleep 1000 & sleep 1000; exit 1"))
    members = group_members(child.identify())
    await child.end()
    assert child.status == -signal.SIGKILL
    await until(lambda: not any(map(lives, members)))
    child.kill_group()


async def test_one_that_is_held_is_reaped_when_it_is_let_go(until: Until) -> None:
    child = Child.hold(await threads.run(spawn, shell("exit 7")))
    await until(lambda: not lives(child.identify()))
    assert (child.status, is_child(child.pid)) == (None, True)
    child.let_go()
    assert await child.wait() == 7
    child.let_go()


async def test_what_one_that_is_held_leaves_of_its_group_is_killed(until: Until) -> None:
    child = Child.hold(await threads.run(spawn, shell("sleep 1000 & exit 7")))
    await until(lambda: not lives(child.identify()))
    members = group_members(child.identify())
    await child.end()
    assert (child.status, len(members)) == (7, 2)
    await until(lambda: not any(map(lives, members)))


def lives(process: ProcessId) -> bool:
    stat = read_stat(process.pid)
    return stat is not None and stat.start == process.start and not stat.has_ended


async def test_a_program_that_is_not_there_is_an_error() -> None:
    with pytest.raises(SystemCallError, match="start /nowhere: No such file"):
        await Child.start(Program(argv=("/nowhere",), env={}))


async def test_its_identity_is_known_until_its_end() -> None:
    child = await Child.start(shell("exit 0"))
    assert child.identify().pid == child.pid
    await child.wait()
    with pytest.raises(NotFoundError):
        child.identify()


async def test_what_can_not_be_watched_is_ended() -> None:
    spawned = await threads.run(spawn, shell("sleep 1000"))
    with pytest.raises(RuntimeError, match="no running event loop"):
        await threads.run(Child.take, spawned)
    assert not is_child(spawned.pid)
    with pytest.raises(ChildProcessError):
        os.waitpid(spawned.pid, os.WNOHANG)  # noqa: ASYNC222  # it does not wait


@pytest.mark.parametrize("pid", [-1, 0, 1, os.getpid(), os.getppid(), 1 << 30])
async def test_only_orphans_are_adopted(pid: int) -> None:
    with pytest.raises(NotFoundError, match="not an orphan"):
        Child.adopt(pid)


async def test_a_child_that_has_an_owner_is_not_adopted() -> None:
    child = await Child.start(shell("exit 0"))
    with pytest.raises(NotFoundError):
        Child.adopt(child.pid)
    await child.wait()


async def test_an_adopted_process_tells_how_it_ended() -> None:
    pid = os.posix_spawn("/bin/sh", ("sh", "-c", "exit 5"), {})  # noqa: ASYNC221  # it does not wait
    assert await Child.adopt(pid).wait() == 5


async def test_an_orphan_that_was_reaped_before_it_was_adopted_tells_it_too() -> None:
    note_reaped(1 << 30, 6)
    assert await Child.adopt(1 << 30).wait() == 6
    with pytest.raises(NotFoundError):
        Child.adopt(1 << 30)


async def test_many_are_watched_at_once() -> None:
    children = [await Child.start(shell(f"exit {status}")) for status in range(20)]
    assert await asyncio.gather(*(child.wait() for child in children)) == list(range(20))


async def test_what_was_started_for_a_caller_that_has_gone_is_ended(tmp_path: Path) -> None:
    """A lease on the program's file holds up its start, see fcntl(2), F_SETLEASE."""
    program = str(shutil.copy("/bin/sleep", tmp_path))
    leased = os.open(program, os.O_RDONLY)
    fcntl.fcntl(leased, fcntl.F_SETSIG, signal.SIGURG)  # for SIGIO, which would end this process
    fcntl.fcntl(leased, fcntl.F_SETLEASE, fcntl.F_WRLCK)
    caller = asyncio.create_task(Child.start(Program(argv=(program, "1000"), env={})))
    while fcntl.fcntl(leased, fcntl.F_GETLEASE) == fcntl.F_WRLCK:  # noqa: ASYNC110  # nobody tells
        await asyncio.sleep(0)
    caller.cancel()
    os.close(leased)
    with pytest.raises(asyncio.CancelledError):
        await caller
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)  # noqa: ASYNC222  # it does not wait
