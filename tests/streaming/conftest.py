"""A real streaming server on loopback, on fake processes and pods, and what its tests share."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import anyio
import pytest

from crishim.core.config.types import StreamServer
from crishim.model.stream import AttachStream, ExecStream
from crishim.streaming.ports import Backends
from crishim.streaming.server import serving_streams
from crishim.streaming.service import Streams
from crishim.testing.streams import FakeAttach, FakeDialer, FakeExec, FakeLookup

Start = Callable[..., Awaitable[Streams]]


class Node:
    """What the server serves."""

    def __init__(self) -> None:
        self.exec, self.attach, self.dialer, self.lookup = FakeExec(), FakeAttach(), FakeDialer(), FakeLookup()

    @property
    def backends(self) -> Backends:
        return Backends(
            exec=self.exec,
            attach=self.attach,
            dialer=self.dialer,
            containers=self.lookup.containers,
            sandboxes=self.lookup.sandboxes,
        )

    async def ended(self) -> str:
        """Wait for the end of the first session, also of one that has still to begin; how it ended."""
        with anyio.fail_after(8):
            while not (sessions := self.exec.sessions or self.attach.sessions):  # noqa: ASYNC110  # fakes tell nobody
                await anyio.sleep(0.005)
            await sessions[0].closed.wait()
        return sessions[0].how_it_ended


@pytest.fixture
def node() -> Node:
    return Node()


@pytest.fixture
def ended(node: Node) -> Callable[[], Awaitable[str]]:
    """Tells how the first session ended, as soon as it has."""
    return node.ended


@pytest.fixture
def exec_backend(node: Node) -> FakeExec:
    return node.exec


@pytest.fixture
def attach_backend(node: Node) -> FakeAttach:
    return node.attach


@pytest.fixture
def dialer(node: Node) -> FakeDialer:
    return node.dialer


@pytest.fixture
async def start(node: Node) -> AsyncIterator[Start]:
    """Starts a server with a configuration of one's own."""
    async with AsyncExitStack() as servers:

        async def begin(*, creation_timeout: float = 30.0, **settings: object) -> Streams:
            config = StreamServer(**settings)  # type: ignore[arg-type]
            serving = serving_streams(config, node.backends, creation_timeout=creation_timeout)
            return await servers.enter_async_context(serving)

        yield begin


@pytest.fixture
async def streams(start: Start) -> Streams:
    return await start()


@pytest.fixture
def exec_url(streams: Streams) -> Callable[..., str]:
    """Makes a URL for a command, with all of its streams."""

    def make(*command: str, stderr: bool = True, tty: bool = False) -> str:
        wanted = ExecStream(container_id="c0", command=command, stdin=True, stdout=True, stderr=stderr, tty=tty)
        return streams.exec(wanted)

    return make


@pytest.fixture
def attach_url(streams: Streams) -> Callable[[], str]:
    def make() -> str:
        return streams.attach(AttachStream(container_id="c0", stdin=True, stdout=True, stderr=True))

    return make
