"""Streams of containers and of commands in them: logs, attached clients, terminals."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from crishim.core.errors import DeadlineError, FailedPreconditionError, InvalidArgumentError, RuntimeFailedError
from crishim.drivers.conmon.attach import Attachment, Stream
from crishim.drivers.oci.exec_streams import ExecSession, Output, Wanted
from crishim.model.container import Container
from tests.netns.drivers.oci.lab import STATE, Lab, process, until

pytestmark = pytest.mark.anyio

LOG = STATE / "logs/c1.log"
ECHO = ("sh", "-c", "while read line; do echo got $line; echo err >&2; done; echo end")


def lines(name: str) -> list[str]:
    return (LOG.parent / name).read_text().splitlines()


def descriptors() -> list[str]:
    return [entry.name for entry in Path("/proc/self/fd").iterdir()]


async def attached(lab: Lab, *args: str, **config: bool) -> tuple[Container, Attachment]:
    """A container that waits until a client is there."""
    container = await lab.create(*args, config={"stdin": True, **config})
    attachment = await lab.driver.attach(container)
    await lab.driver.start(container)
    return container, attachment


async def collect(attachment: Attachment) -> dict[Stream, bytes]:
    streams = {Stream.STDOUT: b"", Stream.STDERR: b""}
    async for stream, data in attachment:
        streams[stream] += data
    attachment.close()
    return streams


async def read(output: Output | None) -> bytes:
    assert output is not None
    return b"".join([chunk async for chunk in output])


async def session(lab: Lab, container: Container, *args: str, **wanted: bool) -> ExecSession:
    return await lab.driver.exec_streams(container, process(*args), Wanted(**wanted))


async def test_a_moved_log_is_opened_anew(lab: Lab) -> None:
    container = await lab.run("sh", "-c", "n=0; while :; do n=$((n + 1)); echo $n; sleep 0.01; done")
    await until(lambda: LOG.stat().st_size > 100)
    LOG.rename(f"{LOG}.1")
    await lab.driver.reopen_log(container)
    await until(lambda: LOG.stat().st_size > 100)
    await lab.driver.kill_all(container)
    await lab.driver.wait(container)
    numbers = [int(line.split()[-1]) for log in ("c1.log.1", "c1.log") for line in lines(log)]
    assert numbers == list(range(1, len(numbers) + 1))


async def test_a_log_that_was_not_moved_keeps_its_content(lab: Lab) -> None:
    container = await lab.run("sh", "-c", "echo first; sleep 1000")
    await until(lambda: LOG.stat().st_size > 10)
    await lab.driver.reopen_log(container)
    assert lab.log() == "stdout F first\n"


async def test_logs_of_ended_containers_are_not_opened(lab: Lab) -> None:
    container = await lab.run("true")
    await lab.driver.wait(container)
    LOG.unlink()
    with pytest.raises(FailedPreconditionError, match="has ended"):
        await lab.driver.reopen_log(container)


async def test_a_log_whose_directory_is_gone_does_not_end_the_monitor(lab: Lab) -> None:
    container = await lab.run("sleep", "1000")
    LOG.unlink()
    LOG.parent.rmdir()
    with pytest.raises(FailedPreconditionError, match="directory does not exist"):
        await lab.driver.reopen_log(container)
    assert lab.state("exits") == []


async def test_a_log_path_that_conmon_would_cut_is_refused(lab: Lab) -> None:
    with pytest.raises(InvalidArgumentError, match="without a colon"):
        await lab.create("true", container_id="a:b")
    assert lab.leftovers() == []


async def test_a_client_writes_and_hears_both_streams(lab: Lab) -> None:
    container, attachment = await attached(lab, *ECHO, stdin_once=True)
    await attachment.send(b"one\ntwo\n")
    attachment.end_input()
    assert await collect(attachment) == {Stream.STDOUT: b"got one\ngot two\nend\n", Stream.STDERR: b"err\nerr\n"}
    assert (await lab.driver.wait(container)).exit_code == 0
    assert "stdout F got one" in lab.log()


async def test_input_stays_open_for_the_next_client(lab: Lab) -> None:
    container, first = await attached(lab, *ECHO)
    await first.send(b"one\n")
    first.end_input()
    first.close()
    second = await lab.driver.attach(container)
    await until(lambda: "got one" in lab.log())
    await second.send(b"two\n")
    await until(lambda: "got two" in lab.log())
    second.close()


async def test_much_input_arrives_whole(lab: Lab) -> None:
    container, attachment = await attached(lab, "sh", "-c", "cat | wc -c", stdin_once=True)
    await attachment.send(bytes(1_000_000))
    attachment.end_input()
    assert (await collect(attachment))[Stream.STDOUT] == b"1000000\n"
    await lab.driver.wait(container)


async def test_nobody_attaches_to_an_ended_container(lab: Lab) -> None:
    container = await lab.run("true")
    await lab.driver.wait(container)
    with pytest.raises(FailedPreconditionError, match="has ended"):
        await lab.driver.attach(container)


async def test_a_container_on_a_terminal(lab: Lab) -> None:
    script = 'until test "$(stty size 2>/dev/null)" = "40 100"; do sleep 0.01; done; read word; echo $word; exit 8'
    container, attachment = await attached(lab, "sh", "-c", script, tty=True)
    await lab.driver.resize(container, 100, 40)
    await attachment.send(b"typed\n")
    assert await collect(attachment) == {Stream.STDOUT: b"typed\r\ntyped\r\n", Stream.STDERR: b""}
    assert (await lab.driver.wait(container)).exit_code == 8


async def test_a_command_with_streams(lab: Lab) -> None:
    container = await lab.run("sleep", "1000")
    command = await session(lab, container, *ECHO, stdin=True)
    assert command.stdin is not None
    assert await command.stdin.send(b"one\n")
    command.stdin.end()
    assert await read(command.stdout) == b"got one\nend\n"
    assert await read(command.stderr) == b"err\n"
    assert await command.wait() == 0
    await command.aclose()
    assert lab.state("execs") == []


async def test_much_goes_through_a_command(lab: Lab) -> None:
    container = await lab.run("sleep", "1000")
    command = await session(lab, container, "cat", stdin=True)
    assert command.stdin is not None
    data = os.urandom(3_000_000)
    reading = asyncio.create_task(read(command.stdout))
    await command.stdin.send(data)
    command.stdin.end()
    assert await reading == data
    await command.aclose()


async def test_a_command_on_a_terminal(lab: Lab) -> None:
    container = await lab.run("sleep", "1000")
    command = await session(lab, container, "sh", "-c", "read line; stty size; exit 9", tty=True, stdin=True)
    assert command.stdin is not None
    command.resize(120, 50)
    await command.stdin.send(b"go\n")
    assert (await read(command.stdout)).endswith(b"50 120\r\n")
    assert await command.wait() == 9
    await command.aclose()
    assert lab.state("execs") + lab.state("s") == []


async def test_a_command_that_nobody_wants_any_more_is_killed(lab: Lab) -> None:
    container = await lab.run("sleep", "1000")
    command = await session(lab, container, "sh", "-c", "setsid sleep 1000 & sleep 1000")
    await until(lambda: len(lab.processes()) >= 3)
    await command.aclose()
    assert lab.processes() == [str(container.pid)]


async def test_input_of_an_ended_command_is_refused(lab: Lab) -> None:
    container = await lab.run("sleep", "1000")
    command = await session(lab, container, "true", stdin=True)
    await command.wait()
    assert command.stdin is not None
    assert not await command.stdin.send(b"late")
    await command.aclose()


@pytest.mark.parametrize("tty", [True, False])
async def test_a_command_that_is_not_there_is_an_error(lab: Lab, tty: bool) -> None:
    container = await lab.run("sleep", "1000")
    with pytest.raises(RuntimeFailedError, match="nowhere"):
        await session(lab, container, "nowhere", tty=tty)
    assert lab.state("execs") + lab.state("s") == []


async def test_a_server_leaves_no_descriptor_open(lab: Lab) -> None:
    container = await lab.run("sleep", "1000")
    before = len(descriptors())
    for tty in (True, False):
        command = await session(lab, container, "true", tty=tty, stdin=True)
        await command.wait()
        await command.aclose()
    with pytest.raises(DeadlineError):
        await lab.driver.exec_sync(container, process("sleep", "1000"), 0.05)
    other = await lab.run("true", container_id="c2")
    await lab.driver.wait(other)
    await lab.driver.delete("c2")
    assert len(descriptors()) == before
