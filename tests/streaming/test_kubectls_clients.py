"""The clients of kubectl and crictl (``hack/tools/streamclient``), over SPDY and WebSocket."""

import asyncio
import os
import resource
import signal
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

from crishim.model.stream import AttachStream, ExecStream, PortForwardStream
from crishim.streaming.service import Streams

CLIENT = Path(__file__).parents[2] / ".build/bin/streamclient"

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.e2e,
    pytest.mark.skipif(not CLIENT.exists(), reason="needs hack/build-tools streamclient"),
]

Start = Callable[..., Awaitable[Streams]]
Ended = Callable[[], Awaitable[str]]
TRANSPORTS = ["spdy", "websocket"]
GIB = 1 << 30
ROOM = 32 * 1024  # KiB by which memory may grow while 1 GiB goes through

on_both_transports = pytest.mark.parametrize("transport", TRANSPORTS)


class Result:
    """How a client ended."""

    def __init__(self, code: int | None, output: bytes, errors: bytes) -> None:
        self.code, self.output, self.errors = code, output, errors.decode()


async def run(url: str, *flags: str, stdin: bytes | None = None) -> Result:
    arguments = ["exec", url, *flags, *(["-stdin"] if stdin is not None else [])]
    process = await asyncio.create_subprocess_exec(
        CLIENT, *arguments, stdin=DEVNULL if stdin is None else PIPE, stdout=PIPE, stderr=PIPE
    )
    with anyio.fail_after(30):
        output, errors = await process.communicate(stdin)
    return Result(process.returncode, output, errors)


def command(*words: str, stdin: bool = False, stderr: bool = False, tty: bool = False) -> ExecStream:
    return ExecStream(container_id="c0", command=words, stdin=stdin, stdout=True, stderr=stderr, tty=tty)


@on_both_transports
async def test_output(streams: Streams, transport: str) -> None:
    result = await run(streams.exec(command("echo", "hello")), "-transport", transport)
    assert (result.code, result.output, result.errors) == (0, b"hello\n", "")


@on_both_transports
async def test_error_output(streams: Streams, transport: str) -> None:
    result = await run(streams.exec(command("complain", "oh", stderr=True)), "-transport", transport, "-stderr")
    assert (result.code, result.output, result.errors) == (0, b"", "oh\n")


@on_both_transports
async def test_input_and_its_end(streams: Streams, transport: str) -> None:
    data = os.urandom(1_000_000)
    result = await run(streams.exec(command("cat", stdin=True)), "-transport", transport, stdin=data)
    assert (result.code, result.output == data) == (0, True)


@on_both_transports
async def test_exit_code(streams: Streams, transport: str) -> None:
    result = await run(streams.exec(command("leave", "42")), "-transport", transport)
    assert (result.code, result.output) == (42, b"bye\n")


@on_both_transports
async def test_a_terminal(streams: Streams, transport: str) -> None:
    url = streams.exec(command("measure", stdin=True, tty=True))
    result = await run(url, "-transport", transport, "-tty", "-size", "80x24", stdin=b"")
    assert (result.code, result.output) == (0, b"80x24\n")


@on_both_transports
async def test_a_command_that_cannot_be_started(streams: Streams, transport: str) -> None:
    result = await run(streams.exec(command("nonsense")), "-transport", transport)
    assert result.code == 125
    assert "exec 'nonsense': not found in $PATH" in result.errors


@pytest.mark.parametrize("version", ["v3.channel.k8s.io", "v2.channel.k8s.io"])
async def test_older_versions_over_spdy(streams: Streams, version: str) -> None:
    result = await run(streams.exec(command("cat", stdin=True)), "-protocols", version, stdin=b"hello")
    assert (result.code, result.output) == (0, b"hello")
    failed = await run(streams.exec(command("leave", "1")), "-protocols", version)
    assert "non-zero exit code 1" in failed.errors


async def test_the_first_version_over_spdy(streams: Streams) -> None:
    """Its client ends no input, and may not wait for what the error channel says."""
    result = await run(streams.exec(command("echo", "hello")), "-protocols", "channel.k8s.io")
    assert (result.code, result.output) == (0, b"hello\n")


async def test_an_older_version_in_a_websocket(streams: Streams) -> None:
    flags = ["-transport", "websocket", "-protocols", "v4.channel.k8s.io"]
    result = await run(streams.exec(command("leave", "3")), *flags)
    assert (result.code, result.output) == (3, b"bye\n")


@on_both_transports
async def test_a_url_is_good_once(streams: Streams, transport: str) -> None:
    url = streams.exec(command("echo"))
    assert (await run(url, "-transport", transport)).code == 0
    assert (await run(url, "-transport", transport)).code == 125


@on_both_transports
async def test_attach(streams: Streams, transport: str) -> None:
    url = streams.attach(AttachStream(container_id="c0", stdin=True, stdout=True))
    result = await run(url, "-transport", transport, stdin=b"hello")
    assert (result.code, result.output) == (0, b"hello")


@on_both_transports
async def test_tls(start: Start, transport: str) -> None:
    streams = await start(tls=True)
    result = await run(streams.exec(command("cat", stdin=True)), "-transport", transport, stdin=b"secret")
    assert (result.code, result.output) == (0, b"secret")


@on_both_transports
async def test_a_killed_client_ends_its_command(streams: Streams, ended: Ended, transport: str) -> None:
    url = streams.exec(command("sleep"))
    process = await asyncio.create_subprocess_exec(CLIENT, "exec", url, "-transport", transport, stdout=PIPE)
    assert process.stdout
    assert await process.stdout.readline() == b"asleep\n"
    process.kill()
    await process.wait()
    assert await ended() == "killed"


# ---- port-forward


@asynccontextmanager
async def forwarding(url: str, port: int, transport: str) -> AsyncIterator[int]:
    """The local port of a client that forwards to ``port``. One that is still there when time is up tells where."""
    process = await asyncio.create_subprocess_exec(
        CLIENT, "forward", url, str(port), "-transport", transport, stdin=PIPE, stdout=PIPE
    )
    assert process.stdin
    assert process.stdout
    try:
        with anyio.fail_after(60):
            yield int((await process.stdout.readline()).split(b":")[1])
            process.stdin.close()
            await process.wait()
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGQUIT)  # it writes what its goroutines wait for, and ends
            await process.wait()


@asynccontextmanager
async def shouting_pod() -> AsyncIterator[int]:
    async def shout(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data.upper())
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(shout, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def ask(port: int, question: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(question)
        writer.write_eof()
        return await reader.read()
    finally:
        writer.close()


@on_both_transports
async def test_port_forward(streams: Streams, transport: str) -> None:
    url = streams.port_forward(PortForwardStream(sandbox_id="c0"))
    async with shouting_pod() as pod, forwarding(url, pod, transport) as port:
        answers = [await ask(port, b"x" * size) for size in (1, 1000, 1_000_000)]
    assert answers == [b"X" * size for size in (1, 1000, 1_000_000)]


@on_both_transports
async def test_many_forwarded_connections(streams: Streams, transport: str) -> None:
    url = streams.port_forward(PortForwardStream(sandbox_id="c0"))
    async with shouting_pod() as pod, forwarding(url, pod, transport) as port:
        questions = [b"%d " % number * 1000 for number in range(50)]
        answers = await asyncio.gather(*(ask(port, question) for question in questions))
    assert answers == questions


# ---- memory


def peak() -> int:
    """The most memory this process has had, KiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


@on_both_transports
async def test_memory_is_flat_for_much_output(streams: Streams, transport: str) -> None:
    await run(streams.exec(command("produce", "1000000")), "-transport", transport)
    before = peak()
    arguments = ["exec", streams.exec(command("produce", str(GIB))), "-transport", transport]
    process = await asyncio.create_subprocess_exec(CLIENT, *arguments, stdout=DEVNULL)
    assert await process.wait() == 0
    assert peak() < before + ROOM


@on_both_transports
async def test_memory_is_flat_for_much_input(streams: Streams, transport: str) -> None:
    before = peak()
    arguments = ["exec", streams.exec(command("count", stdin=True)), "-transport", transport, "-stdin"]
    zeros = await asyncio.create_subprocess_exec("head", "-c", str(GIB), "/dev/zero", stdout=PIPE)
    assert zeros.stdout
    process = await asyncio.create_subprocess_exec(CLIENT, *arguments, stdin=PIPE, stdout=PIPE)
    assert process.stdin
    assert process.stdout
    while data := await zeros.stdout.read(1 << 20):
        process.stdin.write(data)
        await process.stdin.drain()
    process.stdin.close()
    assert await process.stdout.read() == b"%d\n" % GIB
    assert [await process.wait(), await zeros.wait()] == [0, 0]
    assert peak() < before + ROOM
