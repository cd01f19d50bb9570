"""The rpcs about sandboxes, through a real server."""

import json

import grpc.aio
import msgspec
import pytest

from crishim.model.pod import PodConfig, PodMetadata
from crishim.model.sandbox import Sandbox, State
from crishim.rpc.pb import api_pb2 as pb
from crishim.rpc.pb.api_pb2_grpc import RuntimeServiceStub
from crishim.testing.services import FakeSandboxService

pytestmark = pytest.mark.anyio

CONFIG = pb.PodSandboxConfig(metadata=pb.PodSandboxMetadata(name="web", namespace="default", uid="u1"))
SANDBOX = Sandbox(
    id="a0",
    config=PodConfig(PodMetadata("web", "u1", "default"), labels={"app": "web"}),
    runtime_handler="crun",
    created_at=1,
    boot_id="b",
    state=State.READY,
)


def fill(sandboxes: FakeSandboxService, count: int) -> None:
    for number in range(count):
        made = msgspec.structs.replace(SANDBOX, id=f"a{number}")
        sandboxes.sandboxes[made.id] = made


async def test_life_of_a_sandbox(runtime: RuntimeServiceStub) -> None:
    made = (await runtime.RunPodSandbox(pb.RunPodSandboxRequest(config=CONFIG))).pod_sandbox_id
    await runtime.StopPodSandbox(pb.StopPodSandboxRequest(pod_sandbox_id=made))
    await runtime.RemovePodSandbox(pb.RemovePodSandboxRequest(pod_sandbox_id=made))
    assert not (await runtime.ListPodSandbox(pb.ListPodSandboxRequest())).items


async def test_configuration_and_handler_arrive(runtime: RuntimeServiceStub, sandboxes: FakeSandboxService) -> None:
    made = await runtime.RunPodSandbox(pb.RunPodSandboxRequest(config=CONFIG, runtime_handler="kata"))
    sandbox = sandboxes.sandboxes[made.pod_sandbox_id]
    assert (sandbox.config.metadata.name, sandbox.runtime_handler) == ("web", "kata")


async def test_status(runtime: RuntimeServiceStub, sandboxes: FakeSandboxService) -> None:
    fill(sandboxes, 1)
    answer = await runtime.PodSandboxStatus(pb.PodSandboxStatusRequest(pod_sandbox_id="a0"))
    assert (answer.status.metadata.name, answer.status.runtime_handler) == ("web", "crun")
    assert not answer.info


async def test_verbose_status(runtime: RuntimeServiceStub, sandboxes: FakeSandboxService) -> None:
    fill(sandboxes, 1)
    answer = await runtime.PodSandboxStatus(pb.PodSandboxStatusRequest(pod_sandbox_id="a0", verbose=True))
    info = json.loads(answer.info["info"])
    assert info["runtimeHandler"] == "crun"
    assert info["config"]["metadata"] == {"name": "web", "uid": "u1", "namespace": "default"}


@pytest.mark.parametrize(
    ("wanted", "ids"),
    [
        (pb.PodSandboxFilter(), ["a0", "a1"]),
        (pb.PodSandboxFilter(id="a1"), ["a1"]),
        (pb.PodSandboxFilter(label_selector={"app": "db"}), []),
        (pb.PodSandboxFilter(state=pb.PodSandboxStateValue(state=pb.SANDBOX_NOTREADY)), []),
    ],
)
async def test_list_and_stream_agree(
    runtime: RuntimeServiceStub, sandboxes: FakeSandboxService, wanted: pb.PodSandboxFilter, ids: list[str]
) -> None:
    fill(sandboxes, 2)
    listed = (await runtime.ListPodSandbox(pb.ListPodSandboxRequest(filter=wanted))).items
    chunks = [chunk async for chunk in runtime.StreamPodSandboxes(pb.StreamPodSandboxesRequest(filter=wanted))]
    assert [item.id for item in listed] == ids
    assert [item for chunk in chunks for item in chunk.pod_sandboxes] == list(listed)


async def test_stream_comes_in_chunks(runtime: RuntimeServiceStub, sandboxes: FakeSandboxService) -> None:
    fill(sandboxes, 120)
    chunks = [chunk async for chunk in runtime.StreamPodSandboxes(pb.StreamPodSandboxesRequest())]
    assert [len(chunk.pod_sandboxes) for chunk in chunks] == [50, 50, 20]


@pytest.mark.parametrize("rpc", ["StopPodSandbox", "RemovePodSandbox", "PodSandboxStatus"])
async def test_an_id_is_needed(runtime: RuntimeServiceStub, rpc: str) -> None:
    with pytest.raises(grpc.aio.AioRpcError, match="pod_sandbox_id: must not be empty") as caught:
        await getattr(runtime, rpc)(getattr(pb, f"{rpc}Request")())
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_annotations_of_12_mib(runtime: RuntimeServiceStub) -> None:
    config = pb.PodSandboxConfig(metadata=CONFIG.metadata, annotations={"big": "x" * 12 * 1024 * 1024})
    assert (await runtime.RunPodSandbox(pb.RunPodSandboxRequest(config=config))).pod_sandbox_id


async def test_new_resources_of_a_pod_are_taken_over(
    runtime: RuntimeServiceStub, sandboxes: FakeSandboxService
) -> None:
    metadata = pb.PodSandboxMetadata(name="web", namespace="default")
    made = await runtime.RunPodSandbox(pb.RunPodSandboxRequest(config=pb.PodSandboxConfig(metadata=metadata)))
    wanted = pb.LinuxContainerResources(cpu_shares=512)
    request = pb.UpdatePodSandboxResourcesRequest(pod_sandbox_id=made.pod_sandbox_id, resources=wanted)
    await runtime.UpdatePodSandboxResources(request)
    config = sandboxes.sandboxes[made.pod_sandbox_id].config
    assert (config.overhead, config.resources.cpu_shares if config.resources else 0) == (None, 512)
