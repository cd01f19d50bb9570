"""The rpcs about what containers and pods use."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence

from crishim.container.stats import ContainerStats, PodStats
from crishim.model.container import Container, ContainerFilter, State
from crishim.model.sandbox import Sandbox, SandboxFilter
from crishim.rpc.convert.fields import required
from crishim.rpc.convert.metrics import descriptors, pod_metrics
from crishim.rpc.convert.stats import container_stats, pod_stats
from crishim.rpc.pb import api_pb2 as pb
from crishim.rpc.ports import ContainerService, SandboxService, StatsService
from crishim.rpc.registry import Handlers

_CHUNK = 50


class StatsHandlers:
    """Usage of running containers and ready pods."""

    def __init__(self, stats: StatsService, containers: ContainerService, sandboxes: SandboxService) -> None:
        self._stats, self._containers, self._sandboxes = stats, containers, sandboxes

    def handlers(self) -> Handlers:
        """The rpcs handled here."""
        return {
            "ContainerStats": self.container,
            "ListContainerStats": self.list_containers,
            "StreamContainerStats": self.stream_containers,
            "PodSandboxStats": self.pod,
            "ListPodSandboxStats": self.list_pods,
            "StreamPodSandboxStats": self.stream_pods,
            "ListMetricDescriptors": self.descriptors,
            "ListPodSandboxMetrics": self.list_metrics,
            "StreamPodSandboxMetrics": self.stream_metrics,
        }

    async def container(self, request: pb.ContainerStatsRequest) -> pb.ContainerStatsResponse:
        """One container."""
        found = self._containers.get(required("container_id", request.container_id))
        (stats,) = await self._stats.of_containers([found])
        return pb.ContainerStatsResponse(stats=container_stats(stats))

    async def list_containers(self, request: pb.ListContainerStatsRequest) -> pb.ListContainerStatsResponse:
        """Running containers."""
        return pb.ListContainerStatsResponse(stats=map(container_stats, await self._of_containers(request.filter)))

    async def stream_containers(
        self, request: pb.StreamContainerStatsRequest
    ) -> AsyncGenerator[pb.StreamContainerStatsResponse, None]:
        """Running containers in chunks."""
        found = await self._of_containers(request.filter)
        for start in range(0, len(found), _CHUNK):
            chunk = map(container_stats, found[start : start + _CHUNK])
            yield pb.StreamContainerStatsResponse(container_stats=chunk)

    async def pod(self, request: pb.PodSandboxStatsRequest) -> pb.PodSandboxStatsResponse:
        """One pod."""
        found = self._sandboxes.get(required("pod_sandbox_id", request.pod_sandbox_id))
        (stats,) = await self._stats.of_pods([found])
        return pb.PodSandboxStatsResponse(stats=pod_stats(stats))

    async def list_pods(self, request: pb.ListPodSandboxStatsRequest) -> pb.ListPodSandboxStatsResponse:
        """Ready pods."""
        return pb.ListPodSandboxStatsResponse(stats=map(pod_stats, await self._of_pods(request.filter)))

    async def stream_pods(
        self, request: pb.StreamPodSandboxStatsRequest
    ) -> AsyncGenerator[pb.StreamPodSandboxStatsResponse, None]:
        """Ready pods in chunks."""
        found = await self._of_pods(request.filter)
        for start in range(0, len(found), _CHUNK):
            chunk = map(pod_stats, found[start : start + _CHUNK])
            yield pb.StreamPodSandboxStatsResponse(pod_sandbox_stats=chunk)

    async def descriptors(self, request: pb.ListMetricDescriptorsRequest) -> pb.ListMetricDescriptorsResponse:
        """Which metrics there are."""
        return pb.ListMetricDescriptorsResponse(descriptors=descriptors())

    async def list_metrics(self, request: pb.ListPodSandboxMetricsRequest) -> pb.ListPodSandboxMetricsResponse:
        """The metrics of ready pods."""
        found = await self._for_metrics()
        return pb.ListPodSandboxMetricsResponse(pod_metrics=map(pod_metrics, found))

    async def stream_metrics(
        self, request: pb.StreamPodSandboxMetricsRequest
    ) -> AsyncGenerator[pb.StreamPodSandboxMetricsResponse, None]:
        """The metrics of ready pods in chunks."""
        found = await self._for_metrics()
        for start in range(0, len(found), _CHUNK):
            chunk = map(pod_metrics, found[start : start + _CHUNK])
            yield pb.StreamPodSandboxMetricsResponse(pod_sandbox_metrics=chunk)

    async def _of_containers(self, wanted: pb.ContainerStatsFilter) -> Sequence[ContainerStats]:
        labels = dict(wanted.label_selector)
        by = ContainerFilter(id=wanted.id, sandbox_id=wanted.pod_sandbox_id, state=State.RUNNING, labels=labels)
        found: Sequence[Container] = self._containers.list(by)
        return await self._stats.of_containers(found)

    async def _of_pods(self, wanted: pb.PodSandboxStatsFilter) -> Sequence[PodStats]:
        by = SandboxFilter(id=wanted.id, ready=True, labels=dict(wanted.label_selector))
        found: Sequence[Sandbox] = self._sandboxes.list(by)
        return await self._stats.of_pods(found)

    async def _for_metrics(self) -> Sequence[PodStats]:
        return await self._stats.for_metrics(self._sandboxes.list(SandboxFilter(ready=True)))
