"""The rpcs about containers, their usage, their streams."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import grpc.aio
import pytest

from crishim.model.container import State
from crishim.model.process import ExecResult
from crishim.rpc.pb import api_pb2 as pb
from crishim.rpc.pb.api_pb2_grpc import RuntimeServiceStub
from crishim.testing.container_services import FakeContainerService

CONFIG = pb.ContainerConfig(
    metadata=pb.ContainerMetadata(name="main", attempt=2), image=pb.ImageSpec(image="busybox"), labels={"app": "web"}
)


async def running(runtime: RuntimeServiceStub) -> str:
    request = pb.CreateContainerRequest(pod_sandbox_id="pod", config=CONFIG)
    container_id = (await runtime.CreateContainer(request)).container_id
    await runtime.StartContainer(pb.StartContainerRequest(container_id=container_id))
    return str(container_id)


async def refusal(call: Any) -> tuple[str, str]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value.code().name, caught.value.details() or ""


async def test_a_container_is_described_as_it_was_asked_for(runtime: RuntimeServiceStub) -> None:
    container_id = await running(runtime)
    answer = await runtime.ContainerStatus(pb.ContainerStatusRequest(container_id=container_id, verbose=True))
    status = answer.status
    assert (status.metadata, status.state) == (CONFIG.metadata, pb.CONTAINER_RUNNING)
    assert status.labels == {"app": "web"}
    assert json.loads(answer.info["info"])["sandboxID"] == "pod"


@pytest.mark.parametrize("privileged", [True, False])
async def test_what_the_caller_says_of_the_pod_now_is_passed_on(
    runtime: RuntimeServiceStub, containers: FakeContainerService, privileged: bool
) -> None:
    """A kubelet sends the pod's configuration along, which ephemeral containers may have changed."""
    request = pb.CreateContainerRequest(pod_sandbox_id="pod", config=CONFIG)
    request.sandbox_config.linux.security_context.privileged = privileged
    await runtime.CreateContainer(request)
    assert containers.calls == [("create privileged", "pod")] * privileged


async def test_containers_are_listed_by_state_and_label(runtime: RuntimeServiceStub) -> None:
    container_id = await running(runtime)
    for state, expected in ((pb.CONTAINER_RUNNING, [container_id]), (pb.CONTAINER_EXITED, [])):
        wanted = pb.ContainerFilter(state=pb.ContainerStateValue(state=state), label_selector={"app": "web"})
        found = await runtime.ListContainers(pb.ListContainersRequest(filter=wanted))
        assert [container.id for container in found.containers] == expected


async def test_the_stream_of_containers_is_the_list(runtime: RuntimeServiceStub) -> None:
    container_id = await running(runtime)
    chunks = [chunk async for chunk in runtime.StreamContainers(pb.StreamContainersRequest())]
    assert [container.id for chunk in chunks for container in chunk.containers] == [container_id]


async def test_stop_passes_the_grace_on(runtime: RuntimeServiceStub, containers: FakeContainerService) -> None:
    container_id = await running(runtime)
    await runtime.StopContainer(pb.StopContainerRequest(container_id=container_id, timeout=7))
    assert containers.calls == [("stop", container_id, 7.0)]


async def test_exec_sync_gives_output_and_exit_code(runtime: RuntimeServiceStub) -> None:
    request = pb.ExecSyncRequest(container_id=await running(runtime), cmd=["echo", "hi"], timeout=0)
    answer = await runtime.ExecSync(request)
    assert (answer.stdout, answer.stderr, answer.exit_code) == (b"echo hi", b"None", 3)


@pytest.mark.parametrize(("stdout", "stderr"), [(17 << 20, 9), (9, 17 << 20), (9 << 20, 9 << 20)])
async def test_what_a_command_says_too_much_does_not_hide_how_it_ended(
    address: Path, runtime: RuntimeServiceStub, containers: FakeContainerService, stdout: int, stderr: int
) -> None:
    containers.exec_result = ExecResult(b"o" * stdout, b"e" * stderr, 7)
    request = pb.ExecSyncRequest(container_id=await running(runtime), cmd=["yes"])
    kubelets_limit = [("grpc.max_receive_message_length", 16 << 20)]
    async with grpc.aio.insecure_channel(f"unix:{address}", options=kubelets_limit) as channel:
        answer = await RuntimeServiceStub(channel).ExecSync(request)
    assert answer.exit_code == 7
    assert len(answer.stdout) == min(stdout, (16 << 20) - 64)
    assert len(answer.stderr) == min(stderr, (16 << 20) - 64 - len(answer.stdout))


@pytest.mark.parametrize("field", ["StopContainer", "ExecSync"])
async def test_a_negative_time_is_refused(runtime: RuntimeServiceStub, field: str) -> None:
    request = getattr(pb, f"{field}Request")(container_id="c", timeout=-1)
    code, details = await refusal(getattr(runtime, field)(request))
    assert (code, "timeout" in details) == ("INVALID_ARGUMENT", True)


async def test_usage_is_told_for_running_containers(
    runtime: RuntimeServiceStub, containers: FakeContainerService
) -> None:
    container_id = await running(runtime)
    (stats,) = (await runtime.ListContainerStats(pb.ListContainerStatsRequest())).stats
    assert (stats.attributes.id, stats.cpu.usage_nano_cores.value) == (container_id, 9)
    assert (stats.memory.working_set_bytes.value, stats.memory.HasField("rss_bytes")) == (3, False)
    assert containers.get(container_id).state is State.RUNNING


async def test_every_metric_has_a_descriptor_with_as_many_labels(runtime: RuntimeServiceStub) -> None:
    metadata = pb.PodSandboxMetadata(name="web", namespace="n", uid="u")
    await runtime.RunPodSandbox(pb.RunPodSandboxRequest(config=pb.PodSandboxConfig(metadata=metadata)))
    listed = await runtime.ListMetricDescriptors(pb.ListMetricDescriptorsRequest())
    labels = {descriptor.name: len(descriptor.label_keys) for descriptor in listed.descriptors}
    (pod,) = (await runtime.ListPodSandboxMetrics(pb.ListPodSandboxMetricsRequest())).pod_metrics
    (container,) = pod.container_metrics
    assert {metric.name for metric in pod.metrics} >= {"container_cpu_usage_seconds_total", "container_processes"}
    assert {metric.name for metric in container.metrics} >= {"container_file_descriptors", "container_ulimits_soft"}
    for metric in (*pod.metrics, *container.metrics):
        assert labels[metric.name] == len(metric.label_values)


async def test_the_stream_of_metrics_is_the_list(runtime: RuntimeServiceStub) -> None:
    metadata = pb.PodSandboxMetadata(name="web", namespace="n", uid="u")
    await runtime.RunPodSandbox(pb.RunPodSandboxRequest(config=pb.PodSandboxConfig(metadata=metadata)))
    listed = await runtime.ListPodSandboxMetrics(pb.ListPodSandboxMetricsRequest())
    chunks = [chunk async for chunk in runtime.StreamPodSandboxMetrics(pb.StreamPodSandboxMetricsRequest())]
    assert [pod for chunk in chunks for pod in chunk.pod_sandbox_metrics] == list(listed.pod_metrics)


async def test_a_checkpoint_is_refused_with_the_reason(runtime: RuntimeServiceStub) -> None:
    request = pb.CheckpointContainerRequest(container_id="c", location="/tmp/checkpoint.tar")
    code, details = await refusal(runtime.CheckpointContainer(request))
    assert (code, details) == ("UNIMPLEMENTED", "criu is not installed")


async def test_streams_get_urls(runtime: RuntimeServiceStub) -> None:
    executed = await runtime.Exec(pb.ExecRequest(container_id="c", cmd=["ls"], stdout=True))
    attached = await runtime.Attach(pb.AttachRequest(container_id="c", stdin=True))
    forwarded = await runtime.PortForward(pb.PortForwardRequest(pod_sandbox_id="p", port=[80, 443]))
    assert [executed.url, attached.url, forwarded.url] == ["http://exec/ls", "http://attach/c", "http://ports/80+443"]


@pytest.mark.parametrize(
    ("request_", "named"),
    [
        (pb.ExecRequest(container_id="c", stdout=True), "cmd"),
        (pb.ExecRequest(container_id="c", cmd=["ls"]), "stdin, stdout, stderr"),
        (pb.ExecRequest(container_id="c", cmd=["ls"], tty=True, stdout=True, stderr=True), "stderr"),
        (pb.AttachRequest(container_id="", stdin=True), "container_id"),
        (pb.PortForwardRequest(pod_sandbox_id="p", port=[0]), "port[0]"),
    ],
)
async def test_streams_that_can_not_be_are_refused(runtime: RuntimeServiceStub, request_: object, named: str) -> None:
    verb = type(request_).__name__.removesuffix("Request")
    code, details = await refusal(getattr(runtime, verb)(request_))
    assert (code, named in details) == ("INVALID_ARGUMENT", True)
