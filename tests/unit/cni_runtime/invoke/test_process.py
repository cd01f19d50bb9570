"""Real programs, run to their end: output, limits, and no process left behind."""

import asyncio
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest

from cni_runtime.invoke.process import Ended, Killed, Limits, _checked, run

pytestmark = pytest.mark.anyio


async def _sh(tmp_path: Path, script: str, *, stdin: bytes = b"", limits: Limits | None = None) -> Ended:
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    env = {"PATH": os.environ["PATH"], "HERE": str(tmp_path)}
    return await run(program, stdin=stdin, env=env, limits=limits or Limits(timeout=20))


def _is_running(pid: int) -> bool:
    """Whether the process exists and is no zombie that pid 1 has not collected yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


async def _until(condition: Callable[[], bool]) -> None:
    with anyio.fail_after(5):
        while not condition():  # noqa: ASYNC110 - nothing tells when another process has come so far
            await anyio.sleep(0.01)


async def _until_gone(pid: int) -> None:
    await _until(lambda: not _is_running(pid))


async def _pid_in(path: Path) -> int:
    await _until(lambda: path.exists() and path.read_text().endswith("\n"))
    return int(await anyio.Path(path).read_text())


def _open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def test_input_output_and_status_pass_through(tmp_path: Path) -> None:
    ended = await _sh(tmp_path, "cat; echo to-err >&2; exit 3", stdin=b"in")
    assert (ended.status, ended.stdout, ended.stderr, ended.killed) == (3, b"in", b"to-err\n", None)
    assert 0 < ended.elapsed < 20


async def test_input_larger_than_a_pipe_may_be_ignored(tmp_path: Path) -> None:
    ended = await _sh(tmp_path, "echo done", stdin=bytes(1 << 20))
    assert (ended.status, ended.stdout) == (0, b"done\n")


async def test_output_larger_than_a_pipe_is_read_whole(tmp_path: Path) -> None:
    ended = await _sh(tmp_path, "cat", stdin=b"x" * 1_000_000)
    assert len(ended.stdout) == 1_000_000


async def test_death_by_a_signal_is_a_negative_status(tmp_path: Path) -> None:
    assert (await _sh(tmp_path, "kill -SEGV $$")).status == -signal.SIGSEGV


async def test_signals_that_python_ignores_work_in_the_program(tmp_path: Path) -> None:
    assert (await _sh(tmp_path, "kill -PIPE $$")).status == -signal.SIGPIPE


async def test_the_program_leads_its_own_session(tmp_path: Path) -> None:
    ended = await _sh(tmp_path, "ps -o pid=,pgid=,sid= -p $$")
    pid, group, session = ended.stdout.split()
    assert pid == group == session != str(os.getpid()).encode()


async def test_no_descriptor_but_the_three_is_inherited(tmp_path: Path) -> None:
    listed = (await _sh(tmp_path, "ls /proc/$$/fd")).stdout.split()
    shells_own = {b"10", b"255"}  # where dash and bash keep the script
    assert set(listed) - shells_own == {b"0", b"1", b"2"}


async def test_too_much_output_kills_at_once(tmp_path: Path) -> None:
    ended = await _sh(tmp_path, "yes", limits=Limits(timeout=20, stdout=1000))
    assert (ended.killed, ended.status, len(ended.stdout)) == (Killed.OUTPUT, -signal.SIGKILL, 1000)


async def test_of_a_long_standard_error_the_end_is_kept(tmp_path: Path) -> None:
    ended = await _sh(tmp_path, "seq 1 100000 >&2; echo last >&2", limits=Limits(stderr=10))
    assert (ended.status, ended.stderr) == (0, b"00000\nlast\n"[-10:])


async def test_a_program_that_hangs_is_killed_with_its_children(tmp_path: Path) -> None:
    script = "trap '' TERM; (trap '' TERM; sleep 60) & echo $! >$HERE/child; wait; sleep 60"
    started = time.monotonic()
    ended = await _sh(tmp_path, script, limits=Limits(timeout=0.3))
    assert (ended.killed, ended.status) == (Killed.TIMEOUT, -signal.SIGKILL)
    assert time.monotonic() - started < 3
    await _until_gone(await _pid_in(tmp_path / "child"))


async def test_a_program_that_fails_leaves_no_children(tmp_path: Path) -> None:
    ended = await _sh(tmp_path, "sleep 60 & echo $! >$HERE/child; exit 1")
    assert ended.status == 1
    await _until_gone(await _pid_in(tmp_path / "child"))


async def test_a_program_that_succeeds_may_leave_a_daemon_that_holds_its_output(tmp_path: Path) -> None:
    ended = await _sh(tmp_path, "sleep 60 & echo $!")
    assert (ended.status, ended.elapsed < 10) == (0, True)
    daemon = int(ended.stdout)
    assert _is_running(daemon)
    os.kill(_checked(daemon), signal.SIGKILL)


async def test_a_cancelled_caller_leaves_no_process(tmp_path: Path) -> None:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_sh, tmp_path, "sleep 60 & echo $! >$HERE/child; echo $$ >$HERE/self; sleep 60")
        pids = [await _pid_in(tmp_path / name) for name in ("child", "self")]
        tasks.cancel_scope.cancel()
    assert not _is_running(pids[1])
    await _until_gone(pids[0])


async def test_a_task_cancelled_by_asyncio_leaves_no_process(tmp_path: Path) -> None:
    task = asyncio.ensure_future(_sh(tmp_path, "echo $$ >$HERE/self; sleep 60"))
    pid = await _pid_in(tmp_path / "self")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not _is_running(pid)


async def test_no_descriptor_leaks(tmp_path: Path) -> None:
    before = _open_descriptors()
    await _sh(tmp_path, "echo hello")
    with pytest.raises(OSError, match="No such file"):
        await run(tmp_path / "none", stdin=b"", env={}, limits=Limits())
    await _sh(tmp_path, "sleep 60", limits=Limits(timeout=0.05))
    assert _open_descriptors() == before


async def test_many_run_at_once(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\nexec cat\n")
    program.chmod(0o755)
    inputs = [str(number).encode() for number in range(20)]
    runs = (run(program, stdin=data, env={"PATH": "/bin"}, limits=Limits()) for data in inputs)
    assert [ended.stdout for ended in await asyncio.gather(*runs)] == inputs


@pytest.mark.parametrize("pid", [-1, 0, 1])
def test_a_pid_that_is_more_than_one_program_is_refused(pid: int) -> None:
    with pytest.raises(ProcessLookupError):
        _checked(pid)


async def test_a_status_that_somebody_else_has_taken_is_a_failure(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "end")
    task = asyncio.ensure_future(_sh(tmp_path, "echo $$ >$HERE/self; read -r end <$HERE/end"))
    pid = await _pid_in(tmp_path / "self")
    (tmp_path / "end").write_text("\n")
    os.waitpid(pid, 0)  # noqa: ASYNC222 - before the event loop can notice
    assert (await task).status == 255
