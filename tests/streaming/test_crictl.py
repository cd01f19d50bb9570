"""crictl: it asks the CRI for a URL and takes its stream from there."""

import asyncio
import os
import pty
import tempfile
import termios
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

from crishim.rpc.handlers.node import NodeHandlers
from crishim.rpc.handlers.streams import StreamHandlers
from crishim.rpc.pb import api_pb2 as pb
from crishim.rpc.registry import combine
from crishim.rpc.server import serving
from crishim.streaming.service import Streams
from crishim.testing.services import FakeNodeService

CRICTL = Path(__file__).parents[2] / ".build/bin/crictl"

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.e2e,
    pytest.mark.skipif(not CRICTL.exists(), reason="needs hack/build-tools crictl"),
]

both_transports = pytest.mark.parametrize("transport", ["spdy", "websocket"])


async def image_fs_info(_: object) -> pb.ImageFsInfoResponse:
    """What crictl asks of the image service to see whether it is there."""
    return pb.ImageFsInfoResponse()


@pytest.fixture
async def endpoint(streams: Streams) -> AsyncIterator[str]:
    """A CRI server that knows how to make URLs."""
    handlers = combine(NodeHandlers(FakeNodeService()).handlers(), StreamHandlers(streams).handlers())
    with tempfile.TemporaryDirectory(prefix="crishim-") as directory:
        address = Path(directory) / "cri.sock"
        async with serving(address, runtime=handlers, image={"ImageFsInfo": image_fs_info}, grace=0.2):
            yield f"unix://{address}"


@asynccontextmanager
async def crictl(endpoint: str, *arguments: str, stdin: int = DEVNULL, stdout: int = PIPE) -> AsyncIterator[Process]:
    process = await asyncio.create_subprocess_exec(
        CRICTL, "--runtime-endpoint", endpoint, *arguments, stdin=stdin, stdout=stdout, stderr=PIPE
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def run(endpoint: str, *arguments: str, stdin: bytes | None = None) -> tuple[int | None, bytes, bytes]:
    async with crictl(endpoint, *arguments, stdin=DEVNULL if stdin is None else PIPE) as process:
        with anyio.fail_after(20):
            output, errors = await process.communicate(stdin)
    return process.returncode, output, errors


@both_transports
async def test_exec(endpoint: str, transport: str) -> None:
    assert (await run(endpoint, "exec", "-r", transport, "c0", "echo", "hello"))[:2] == (0, b"hello\n")


@both_transports
async def test_exec_with_input(endpoint: str, transport: str) -> None:
    assert (await run(endpoint, "exec", "-i", "-r", transport, "c0", "cat", stdin=b"hello"))[:2] == (0, b"hello")


@both_transports
async def test_exec_that_fails(endpoint: str, transport: str) -> None:
    code, output, errors = await run(endpoint, "exec", "-r", transport, "c0", "leave", "3")
    assert (code, output) == (1, b"bye\n")  # crictl's own code, which it has for any failure
    assert b"command terminated with exit code 3" in errors


@both_transports
async def test_attach(endpoint: str, transport: str) -> None:
    assert (await run(endpoint, "attach", "-i", "-r", transport, "c0", stdin=b"hello"))[:2] == (0, b"hello")


async def test_a_container_that_does_not_exist(endpoint: str) -> None:
    code, _, errors = await run(endpoint, "exec", "beef", "echo")
    assert code == 1
    assert b"beef does not exist" in errors


@both_transports
async def test_exec_with_a_terminal(endpoint: str, transport: str) -> None:
    master, terminal = pty.openpty()
    termios.tcsetwinsize(terminal, (24, 80))
    try:
        async with crictl(
            endpoint, "exec", "-it", "-r", transport, "c0", "measure", stdin=terminal, stdout=terminal
        ) as process:
            os.close(terminal)
            with anyio.fail_after(20):
                assert await process.wait() == 0
            assert b"80x24" in os.read(master, 1000)
    finally:
        os.close(master)


@both_transports
async def test_port_forward(endpoint: str, transport: str) -> None:
    async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"hello from the pod")
        writer.close()

    server = await asyncio.start_server(greet, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, crictl(endpoint, "port-forward", "-r", transport, "c0", f":{port}") as process:
        assert process.stdout
        with anyio.fail_after(20):
            told = (await process.stdout.readline()).decode()  # Forwarding from 127.0.0.1:PORT -> …
            reader, writer = await asyncio.open_connection("127.0.0.1", int(told.split("->")[0].split(":")[1]))
            assert await reader.read() == b"hello from the pod"
        writer.close()
