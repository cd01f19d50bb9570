"""Starting on the socket and stopping in good order."""

import socket
import stat
from pathlib import Path

import anyio
import grpc.aio
import pytest

from crishim.core.errors import AlreadyExistsError
from crishim.rpc.pb import api_pb2 as pb
from crishim.rpc.pb.api_pb2_grpc import RuntimeServiceStub
from crishim.rpc.server import serving
from crishim.testing.container_services import handlers_on_fakes
from crishim.testing.services import FakeNodeService, FakeSandboxService

pytestmark = pytest.mark.anyio

BUILT = handlers_on_fakes(FakeNodeService(), FakeSandboxService())
RUN = pb.RunPodSandboxRequest(
    config=pb.PodSandboxConfig(metadata=pb.PodSandboxMetadata(name="web", namespace="default"))
)


async def version_at(address: Path) -> str:
    async with grpc.aio.insecure_channel(f"unix:{address}") as channel:
        return str((await RuntimeServiceStub(channel).Version(pb.VersionRequest())).runtime_name)


async def test_serves_then_leaves_nothing(address: Path) -> None:
    async with serving(address, runtime=BUILT):
        assert await version_at(address) == "crishim"
        assert stat.filemode((await anyio.Path(address).stat()).st_mode) == "srw-rw----"
    assert [path async for path in anyio.Path(address.parent).iterdir()] == []


async def test_makes_directories_with_odd_names(address: Path) -> None:
    odd = address.parent / "a b%41" / "c.sock"
    async with serving(odd, runtime=BUILT):
        assert odd.is_socket()


async def test_stale_socket_is_replaced(address: Path) -> None:
    with socket.socket(socket.AF_UNIX) as gone:
        gone.bind(str(address))
    async with serving(address, runtime=BUILT):
        assert await version_at(address) == "crishim"


async def test_live_server_is_left_alone(address: Path) -> None:
    async with serving(address, runtime=BUILT):
        with pytest.raises(AlreadyExistsError, match="another server listens there"):
            async with serving(address, runtime=BUILT):
                pytest.fail("served twice")
        assert await version_at(address) == "crishim"


async def test_socket_of_a_successor_is_kept(address: Path) -> None:
    async with serving(address, runtime=BUILT):
        await anyio.Path(address).unlink()
        await anyio.Path(address).write_text("another's")
    assert await anyio.Path(address).read_text() == "another's"


async def test_call_may_end_within_the_grace(address: Path) -> None:
    gate = anyio.Event()
    sandboxes = FakeSandboxService(gate=gate)
    async with grpc.aio.insecure_channel(f"unix:{address}") as channel, anyio.create_task_group() as tasks:
        async with serving(address, runtime=handlers_on_fakes(FakeNodeService(), sandboxes), grace=5):
            call = RuntimeServiceStub(channel).RunPodSandbox(RUN)
            await sandboxes.entered.wait()
            tasks.start_soon(open_later, gate)
        assert (await call).pod_sandbox_id


async def open_later(gate: anyio.Event) -> None:
    await anyio.sleep(0.1)
    gate.set()


async def test_call_is_cancelled_after_the_grace(address: Path) -> None:
    sandboxes = FakeSandboxService(gate=anyio.Event())
    async with grpc.aio.insecure_channel(f"unix:{address}") as channel:
        async with serving(address, runtime=handlers_on_fakes(FakeNodeService(), sandboxes), grace=0.1):
            call = RuntimeServiceStub(channel).RunPodSandbox(RUN)
            await sandboxes.entered.wait()
        with pytest.raises(grpc.aio.AioRpcError):
            await call
    with anyio.fail_after(5):
        await sandboxes.cancelled.wait()


async def test_stops_in_good_order_when_cancelled(address: Path) -> None:
    with anyio.move_on_after(0.1):
        async with serving(address, runtime=BUILT):
            await anyio.sleep_forever()
    assert [path async for path in anyio.Path(address.parent).iterdir()] == []
