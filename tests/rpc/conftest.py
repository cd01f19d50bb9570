"""A real server on a unix socket of its own, on fake services, and clients for it."""

import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import grpc.aio
import pytest

from crishim.rpc.pb.api_pb2_grpc import ImageServiceStub, RuntimeServiceStub
from crishim.rpc.server import serving
from crishim.testing.container_services import FakeContainerService, handlers_on_fakes
from crishim.testing.services import FakeNodeService, FakeSandboxService


@pytest.fixture
def address() -> Iterator[Path]:
    """Short: the path of a unix socket has at most 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="crishim-") as directory:
        yield Path(directory) / "crishim.sock"


@pytest.fixture
def sandboxes() -> FakeSandboxService:
    return FakeSandboxService()


@pytest.fixture
def node() -> FakeNodeService:
    return FakeNodeService()


@pytest.fixture
def containers() -> FakeContainerService:
    return FakeContainerService()


@pytest.fixture
async def channel(
    address: Path, sandboxes: FakeSandboxService, node: FakeNodeService, containers: FakeContainerService
) -> AsyncIterator[grpc.aio.Channel]:
    async with (
        serving(address, runtime=handlers_on_fakes(node, sandboxes, containers), grace=0.2),
        grpc.aio.insecure_channel(f"unix:{address}") as channel,
    ):
        yield channel


@pytest.fixture
def runtime(channel: grpc.aio.Channel) -> RuntimeServiceStub:
    return RuntimeServiceStub(channel)


@pytest.fixture
def images(channel: grpc.aio.Channel) -> ImageServiceStub:
    return ImageServiceStub(channel)
