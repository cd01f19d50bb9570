"""URLs for streams, and what there is none for."""

import re

import pytest

from crishim.core.errors import FailedPreconditionError, NotFoundError
from crishim.model.container import State as ContainerState
from crishim.model.sandbox import State as SandboxState
from crishim.model.stream import AttachStream, ExecStream, PortForwardStream
from crishim.streaming.service import Streams
from crishim.streaming.tokens import TokenStore
from crishim.testing.streams import FakeLookup

EXEC = ExecStream(container_id="c0f", command=("sh",), stdout=True)
ATTACH = AttachStream(container_id="c0f", stdout=True)
FORWARD = PortForwardStream(sandbox_id="c0f", ports=(80,))


@pytest.fixture
def lookup() -> FakeLookup:
    return FakeLookup()


@pytest.fixture
def tokens() -> TokenStore:
    return TokenStore()


@pytest.fixture
def streams(lookup: FakeLookup, tokens: TokenStore) -> Streams:
    return Streams("http://127.0.0.1:1", tokens, lookup.containers, lookup.sandboxes)


def test_exec(streams: Streams, tokens: TokenStore) -> None:
    found = re.fullmatch(r"http://127\.0\.0\.1:1/exec/([\w-]+)", streams.exec(EXEC))
    assert found
    assert tokens.take(found[1], ExecStream).container_id == "c0ffee"


def test_attach(streams: Streams, tokens: TokenStore) -> None:
    verb, token = streams.attach(ATTACH).split("/")[-2:]
    assert verb == "attach"
    assert tokens.take(token, AttachStream).container_id == "c0ffee"


def test_port_forward(streams: Streams, tokens: TokenStore) -> None:
    verb, token = streams.port_forward(FORWARD).split("/")[-2:]
    assert verb == "portforward"
    assert tokens.take(token, PortForwardStream) == PortForwardStream(sandbox_id="c0ffee", ports=(80,))


def test_what_does_not_exist(streams: Streams) -> None:
    with pytest.raises(NotFoundError, match="beef"):
        streams.exec(ExecStream(container_id="beef", command=("sh",)))


def test_containers_that_do_not_run(streams: Streams, lookup: FakeLookup) -> None:
    lookup.container_state = ContainerState.EXITED
    with pytest.raises(FailedPreconditionError, match="c0ffee is not running but exited"):
        streams.exec(EXEC)
    with pytest.raises(FailedPreconditionError, match="c0ffee is not running but exited"):
        streams.attach(ATTACH)


def test_sandboxes_that_are_not_ready(streams: Streams, lookup: FakeLookup) -> None:
    lookup.sandbox_state = SandboxState.STOPPED
    with pytest.raises(FailedPreconditionError, match="c0ffee is not ready but stopped"):
        streams.port_forward(FORWARD)
