"""A real server on a unix socket of its own, on fake services, and clients for it."""

import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import grpc.aio
import pytest

from crishim.rpc.pb.api_pb2_grpc import ImageServiceStub, RuntimeServiceStub
from crishim.rpc.runtime_service import runtime_service
from crishim.rpc.server import serving
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
async def channel(
    address: Path, sandboxes: FakeSandboxService, node: FakeNodeService
) -> AsyncIterator[grpc.aio.Channel]:
    async with (
        serving(address, runtime=runtime_service(node, sandboxes), grace=0.2),
        grpc.aio.insecure_channel(f"unix:{address}") as channel,
    ):
        yield channel


@pytest.fixture
def runtime(channel: grpc.aio.Channel) -> RuntimeServiceStub:
    return RuntimeServiceStub(channel)


@pytest.fixture
def images(channel: grpc.aio.Channel) -> ImageServiceStub:
    return ImageServiceStub(channel)
