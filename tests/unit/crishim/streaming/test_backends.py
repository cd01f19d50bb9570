"""The output of a command, from pipes to chunks; the streams of an attached container."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import cast

import anyio
import pytest

from crishim.drivers.conmon.attach import Attachment
from crishim.drivers.oci.driver import OciDriver
from crishim.drivers.oci.exec_streams import ExecSession
from crishim.drivers.oci.exec_streams import Output as Pipe
from crishim.model.container import Container, ContainerConfig, ContainerMetadata, ImageSpec
from crishim.model.stream import AttachStream, Output
from crishim.streaming.backends import AttachedSession, CommandSession

pytestmark = pytest.mark.anyio


class FakeCommand:
    """A command as the driver has it: ``ends`` are what it and its children write to."""

    stdin = None

    def __init__(self) -> None:
        pipes = {kind: os.pipe() for kind in Output}
        self.readers = {kind: reader for kind, (reader, _) in pipes.items()}
        self.ends = {kind: writer for kind, (_, writer) in pipes.items()}
        self.stdout, self.stderr = (Pipe(self.readers[kind]) for kind in Output)
        self.ended = asyncio.Event()

    async def wait(self) -> int:
        await self.ended.wait()
        return 7

    def close_ends(self) -> None:
        while self.ends:
            os.close(self.ends.popitem()[1])


@pytest.fixture
async def command() -> AsyncIterator[FakeCommand]:
    command = FakeCommand()
    yield command
    command.close_ends()
    for reader in command.readers.values():
        os.close(reader)


def session(command: FakeCommand, drain_seconds: float = 0.02) -> CommandSession:
    return CommandSession(cast("ExecSession", command), drain_seconds)


async def test_both_streams_to_their_ends(command: FakeCommand) -> None:
    os.write(command.ends[Output.STDOUT], b"out")
    os.write(command.ends[Output.STDERR], b"err")
    command.close_ends()
    chunks = [chunk async for chunk in session(command).output()]
    assert sorted(chunks) == [(Output.STDERR, b"err"), (Output.STDOUT, b"out")]


async def test_the_end_of_the_command_is_enough_when_nothing_more_comes(command: FakeCommand) -> None:
    os.write(command.ends[Output.STDOUT], b"last words")
    command.ended.set()  # what it left behind holds the pipes open
    with anyio.fail_after(5):
        assert [chunk async for chunk in session(command).output()] == [(Output.STDOUT, b"last words")]


async def test_a_slow_reader_gets_everything(command: FakeCommand) -> None:
    os.write(command.ends[Output.STDOUT], bytes(65536))
    command.ended.set()
    total = 0
    async for _, data in session(command).output():
        total += len(data)
        await anyio.sleep(0.1)
    assert total == 65536


async def test_silence_is_no_end_while_the_command_runs(command: FakeCommand) -> None:
    output = session(command).output()
    with anyio.move_on_after(0.1) as waiting:
        await anext(output)
    assert waiting.cancelled_caught


async def test_nothing_watches_the_pipes_after_the_output_was_closed(command: FakeCommand) -> None:
    os.write(command.ends[Output.STDOUT], b"x")
    async with aclosing(session(command).output()) as output:
        await anext(output)
    loop = asyncio.get_running_loop()
    assert not any(loop.remove_reader(reader) for reader in command.readers.values())
    assert not [task for task in asyncio.all_tasks() if task.get_name().startswith("exec ")]


@pytest.fixture
async def monitor() -> AsyncIterator[tuple[Attachment, socket.socket]]:
    """A connection to a monitor, and the monitor's end of it."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setblocking(False)
    with theirs:
        theirs.settimeout(5)
        attachment = Attachment(ours)
        yield attachment, theirs
        attachment.close()


def attached(attachment: Attachment, *, tty: bool = False, stdin_once: bool = False) -> AttachedSession:
    container = Container(
        id="c0",
        sandbox_id="s0",
        config=ContainerConfig(
            ContainerMetadata("main"), ImageSpec("busybox"), stdin=True, tty=tty, stdin_once=stdin_once
        ),
        runtime_handler="crun",
        created_at=1,
        boot_id="boot",
    )
    request = AttachStream(container_id="c0", stdin=True, stdout=True)
    return AttachedSession(request, container, cast("OciDriver", None), attachment)


@pytest.mark.parametrize(("tty", "stdin_once"), [(False, False), (True, False), (True, True)])
async def test_who_ends_the_input_leaves(
    monitor: tuple[Attachment, socket.socket], tty: bool, stdin_once: bool
) -> None:
    session = attached(monitor[0], tty=tty, stdin_once=stdin_once)
    monitor[1].send(b"\x02heard")
    await session.close_stdin()
    with anyio.fail_after(5):
        assert [chunk async for chunk in session.output()] == [(Output.STDOUT, b"heard")]
    assert await session.wait() == 0


async def test_who_ends_the_input_of_the_container_stays(monitor: tuple[Attachment, socket.socket]) -> None:
    session = attached(monitor[0], stdin_once=True)
    await session.close_stdin()
    assert monitor[1].recv(100) == b""
    monitor[1].send(b"\x02answer")
    assert await anext(session.output()) == (Output.STDOUT, b"answer")
