"""Stand-ins for what the rpcs about containers call, and all handlers on stand-ins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from msgspec.structs import replace

from crishim.container.stats import ContainerStats, PodStats
from crishim.core.errors import NotFoundError, UnimplementedError
from crishim.drivers.cgroups.stats import CpuStats, GroupStats, MemoryStats
from crishim.drivers.descriptors import Descriptors
from crishim.events import Events
from crishim.model.container import Container, ContainerConfig, ContainerFilter, ContainerMetadata, ImageSpec, State
from crishim.model.pod import Resources
from crishim.model.process import ExecResult
from crishim.model.sandbox import Sandbox
from crishim.model.stream import AttachStream, ExecStream, PortForwardStream
from crishim.rpc.ports import NodeService, SandboxService
from crishim.rpc.registry import Handlers
from crishim.rpc.runtime_service import runtime_service

GROUP = GroupStats(timestamp=5, cpu=CpuStats(usage=7_000_000_000), memory=MemoryStats(working_set=3), processes=2)
DESCRIPTORS = Descriptors(timestamp=6, opened=8, sockets=3, soft_limit=1024)


def _created(container_id: str, sandbox_id: str, config: ContainerConfig) -> Container:
    return Container(
        id=container_id,
        sandbox_id=sandbox_id,
        config=config,
        runtime_handler="",
        created_at=1,
        boot_id="boot",
        state=State.CREATED,
    )


@dataclass
class FakeContainerService:
    """Keeps containers in a dict; ``calls`` holds every change that was asked for.

    ``exec_result``, when set, is what commands come to.
    """

    containers: dict[str, Container] = field(default_factory=dict)
    calls: list[tuple[object, ...]] = field(default_factory=list)
    exec_result: ExecResult | None = None

    async def create(self, sandbox_id: str, config: ContainerConfig, *, privileged_pod: bool) -> str:
        """Add a created container."""
        if privileged_pod:
            self.calls.append(("create privileged", sandbox_id))
        container_id = f"{len(self.containers):064x}"
        self.containers[container_id] = _created(container_id, sandbox_id, config)
        return container_id

    async def start(self, container_id: str) -> None:
        """Let it run."""
        self.containers[container_id] = replace(self.get(container_id), state=State.RUNNING, started_at=2)

    async def stop(self, container_id: str, grace: float) -> None:
        """End it."""
        self.calls.append(("stop", container_id, grace))

    async def remove(self, container_id: str) -> None:
        """Drop it."""
        self.containers.pop(container_id, None)

    def get(self, container_id: str) -> Container:
        """The container with exactly this id."""
        if container_id not in self.containers:
            raise NotFoundError(f"container {container_id} does not exist")
        return self.containers[container_id]

    def list(self, wanted: ContainerFilter) -> Sequence[Container]:
        """Those that match, oldest first."""
        return [container for container in self.containers.values() if wanted.matches(container)]

    def info(self, container: Container) -> Mapping[str, object]:
        """One value that can be recognised."""
        return {"sandboxID": container.sandbox_id}

    async def update(self, container_id: str, wanted: Resources) -> None:
        """Remember it."""
        self.calls.append(("update", container_id, wanted))

    async def checkpoint(self, container_id: str) -> None:
        """Refuse."""
        raise UnimplementedError("criu is not installed")

    async def reopen_log(self, container_id: str) -> None:
        """Remember it."""
        self.calls.append(("reopen_log", container_id))

    async def exec_sync(self, container_id: str, command: Sequence[str], seconds: float | None) -> ExecResult:
        """Answer with the command itself and the time it was given."""
        return self.exec_result or ExecResult(" ".join(command).encode(), str(seconds).encode(), 3)


class FakeStatsService:
    """Everything uses the same."""

    async def of_containers(self, containers: Sequence[Container]) -> Sequence[ContainerStats]:
        """``GROUP`` for each."""
        return [ContainerStats(container, GROUP, nano_cores=9) for container in containers]

    async def of_pods(self, sandboxes: Sequence[Sandbox]) -> Sequence[PodStats]:
        """``GROUP`` for each."""
        return [PodStats(sandbox, GROUP) for sandbox in sandboxes]

    async def for_metrics(self, sandboxes: Sequence[Sandbox]) -> Sequence[PodStats]:
        """``GROUP`` for each, and one container that has ``DESCRIPTORS`` open."""
        config = ContainerConfig(ContainerMetadata("main"), ImageSpec("busybox"))
        pods = await self.of_pods(sandboxes)
        containers = [_created("c", pod.sandbox.id, config) for pod in pods]
        stats = [ContainerStats(container, GROUP, descriptors=DESCRIPTORS) for container in containers]
        return [replace(pod, containers=(each,)) for pod, each in zip(pods, stats, strict=True)]


class FakeStreamService:
    """URLs that say what they are for."""

    def exec(self, request: ExecStream) -> str:
        """The command."""
        return f"http://exec/{'+'.join(request.command)}"

    def attach(self, request: AttachStream) -> str:
        """The container."""
        return f"http://attach/{request.container_id}"

    def port_forward(self, request: PortForwardStream) -> str:
        """The ports."""
        return f"http://ports/{'+'.join(map(str, request.ports))}"


def handlers_on_fakes(
    node: NodeService, sandboxes: SandboxService, containers: FakeContainerService | None = None
) -> Handlers:
    """Every handler of the RuntimeService that is built, on stand-ins."""
    return runtime_service(
        node,
        sandboxes,
        containers or FakeContainerService(),
        FakeStatsService(),
        Events(lambda sandbox_id: None, lambda sandbox: None),
        FakeStreamService(),
    )
