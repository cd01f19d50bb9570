"""What a caller is told when a call fails, and what the log keeps."""

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path

import anyio
import grpc.aio
import pytest
from structlog.testing import capture_logs

from crishim.core.errors import Code, CrishimError, NotFoundError
from crishim.rpc.pb import api_pb2 as pb
from crishim.rpc.pb.api_pb2_grpc import RuntimeServiceStub
from crishim.rpc.server import serving
from crishim.testing.services import FakeSandboxService

pytestmark = pytest.mark.anyio

CONFIG = pb.PodSandboxConfig(metadata=pb.PodSandboxMetadata(name="web", namespace="default"))
RUN = pb.RunPodSandboxRequest(config=CONFIG)


def with_code(code: Code) -> CrishimError:
    error = CrishimError("why it failed")
    error.code = code
    return error


async def failure_of_run(runtime: RuntimeServiceStub) -> tuple[grpc.StatusCode, str | None]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await runtime.RunPodSandbox(RUN)
    return caught.value.code(), caught.value.details()


@pytest.mark.parametrize("code", Code)
async def test_every_code(runtime: RuntimeServiceStub, sandboxes: FakeSandboxService, code: Code) -> None:
    sandboxes.error = with_code(code)
    assert await failure_of_run(runtime) == (grpc.StatusCode[code.value], "why it failed")


async def test_stream_fails_with_its_code(runtime: RuntimeServiceStub, sandboxes: FakeSandboxService) -> None:
    sandboxes.error = with_code(Code.UNAVAILABLE)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        [chunk async for chunk in runtime.StreamPodSandboxes(pb.StreamPodSandboxesRequest())]
    assert (caught.value.code(), caught.value.details()) == (grpc.StatusCode.UNAVAILABLE, "why it failed")


async def test_group(runtime: RuntimeServiceStub, sandboxes: FakeSandboxService) -> None:
    sandboxes.error = ExceptionGroup("teardown", [NotFoundError("no a"), NotFoundError("no b")])
    assert await failure_of_run(runtime) == (grpc.StatusCode.NOT_FOUND, "no a; no b")


async def test_bug_is_logged_and_not_told(runtime: RuntimeServiceStub, sandboxes: FakeSandboxService) -> None:
    sandboxes.error = KeyError("secret")
    with capture_logs() as logs:
        code, details = await failure_of_run(runtime)
    assert code is grpc.StatusCode.INTERNAL
    assert "secret" not in str(details)
    assert [log["exc_info"] for log in logs if log["log_level"] == "error"] == [sandboxes.error]


async def test_work_that_was_cancelled_elsewhere(runtime: RuntimeServiceStub, sandboxes: FakeSandboxService) -> None:
    sandboxes.error = asyncio.CancelledError()
    assert (await failure_of_run(runtime))[0] is grpc.StatusCode.CANCELLED


async def test_caller_that_cancels(runtime: RuntimeServiceStub, sandboxes: FakeSandboxService) -> None:
    sandboxes.gate = anyio.Event()
    with capture_logs() as logs:
        call = runtime.RunPodSandbox(RUN)
        await sandboxes.entered.wait()
        call.cancel()
        await sandboxes.cancelled.wait()
        await anyio.wait_all_tasks_blocked()
    assert [log["code"] for log in logs if log["event"] == "rpc failed"] == ["CANCELLED"]


async def test_deadline(runtime: RuntimeServiceStub, sandboxes: FakeSandboxService) -> None:
    sandboxes.gate = anyio.Event()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await runtime.RunPodSandbox(RUN, timeout=0.1)
    await sandboxes.cancelled.wait()
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED


async def test_long_message_arrives(runtime: RuntimeServiceStub, sandboxes: FakeSandboxService) -> None:
    sandboxes.error = CrishimError("x" * 100_000)
    code, details = await failure_of_run(runtime)
    assert code is grpc.StatusCode.INTERNAL
    assert str(details).startswith("xxx")


@pytest.mark.parametrize("body", [b"\xff", b"\x0a\x02\x12\x81", b"\x12\x02\xff\xfe"])
async def test_bytes_that_are_no_message(channel: grpc.aio.Channel, body: bytes) -> None:
    with pytest.raises(grpc.aio.AioRpcError, match=r"the request is not a runtime\.v1\.RunPodSandboxRequest") as caught:
        await channel.unary_unary("/runtime.v1.RuntimeService/RunPodSandbox", None, None)(body)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_refusal_names_the_field(channel: grpc.aio.Channel, runtime: RuntimeServiceStub) -> None:
    with pytest.raises(grpc.aio.AioRpcError, match=r"config\.metadata: must be set"):
        await runtime.RunPodSandbox(pb.RunPodSandboxRequest())


async def test_log_names_rpc_sandbox_and_code(runtime: RuntimeServiceStub, sandboxes: FakeSandboxService) -> None:
    with capture_logs() as logs:
        made = await runtime.RunPodSandbox(RUN)
    (ended,) = [log for log in logs if log["event"] == "rpc ended"]
    assert (ended["code"], ended["sandbox_id"], ended["log_level"]) == ("OK", made.pod_sandbox_id, "info")
    assert ended["ms"] > 0


async def test_stream_whose_caller_leaves(address: Path) -> None:
    async with (
        serving(address, runtime={"GetContainerEvents": endless_events}),
        grpc.aio.insecure_channel(f"unix:{address}") as channel,
    ):
        with capture_logs() as logs:
            call = RuntimeServiceStub(channel).GetContainerEvents(pb.GetEventsRequest())
            await call.read()
            call.cancel()
            await anyio.sleep(0.1)
    assert {log["log_level"] for log in logs} <= {"debug", "info"}
    assert any(log["event"] in ("rpc failed", "rpc lost its caller") for log in logs)


async def endless_events(request: pb.GetEventsRequest) -> AsyncGenerator[pb.ContainerEventResponse, None]:
    while True:
        yield pb.ContainerEventResponse(container_id="c" * 1000)
