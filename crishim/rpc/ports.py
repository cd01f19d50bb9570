"""What the RPC layer needs of the rest of the program, as Protocols."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Literal, Protocol

from crishim.container.stats import ContainerStats, PodStats
from crishim.model.container import Container, ContainerConfig, ContainerFilter
from crishim.model.event import PodEvent
from crishim.model.node import NodeStatus
from crishim.model.pod import PodConfig, Resources
from crishim.model.process import ExecResult
from crishim.model.sandbox import Sandbox, SandboxFilter
from crishim.model.stream import AttachStream, ExecStream, PortForwardStream


class SandboxService(Protocol):
    """Pod sandboxes. Where an id is taken, so is a prefix of exactly one id."""

    async def run(self, config: PodConfig, runtime_handler: str) -> str:
        """Make a sandbox and return its id; a sandbox of the same attempt is joined or returned."""
        ...

    async def stop(self, sandbox_id: str) -> None:
        """End what runs in it and give back its addresses; one that is stopped or not there is no error."""
        ...

    async def remove(self, sandbox_id: str) -> None:
        """Forget it, stopping it first if need be; one that is not there is no error."""
        ...

    async def update_resources(self, sandbox_id: str, overhead: Resources | None, resources: Resources | None) -> None:
        """Take over a pod's new resources; raises NotFoundError."""
        ...

    def get(self, sandbox_id: str) -> Sandbox:
        """One sandbox; raises NotFoundError."""
        ...

    def list(self, wanted: SandboxFilter) -> Sequence[Sandbox]:
        """The sandboxes that ``wanted`` matches."""
        ...

    def info(self, sandbox: Sandbox) -> Mapping[str, object]:
        """What a verbose status shows beyond the configuration; values that JSON knows."""
        ...


class ContainerService(Protocol):
    """Containers. Where an id is taken, so is a prefix of exactly one id."""

    async def create(self, sandbox_id: str, config: ContainerConfig, *, privileged_pod: bool) -> str:
        """Make a container that waits for its start, and return its id.

        ``privileged_pod``: the caller says that the pod may have privileged containers now.
        """
        ...

    async def start(self, container_id: str) -> None:
        """Let a created container run."""
        ...

    async def stop(self, container_id: str, grace: float) -> None:
        """Bring a container to its end, by force after ``grace`` seconds; one that is not there is no error."""
        ...

    async def remove(self, container_id: str) -> None:
        """Forget a container, stopping it first if need be; one that is not there is no error."""
        ...

    def get(self, container_id: str) -> Container:
        """One container; raises NotFoundError."""
        ...

    def list(self, wanted: ContainerFilter) -> Sequence[Container]:
        """The containers that ``wanted`` matches."""
        ...

    def info(self, container: Container) -> Mapping[str, object]:
        """What a verbose status shows beyond the configuration; values that JSON knows."""
        ...

    async def update(self, container_id: str, wanted: Resources) -> None:
        """Change the limits that are set in ``wanted``."""
        ...

    async def checkpoint(self, container_id: str) -> None:
        """Raises UnimplementedError with the reason why checkpoints cannot be made."""
        ...

    async def reopen_log(self, container_id: str) -> None:
        """Write to a new log file from now on."""
        ...

    async def exec_sync(self, container_id: str, command: Sequence[str], seconds: float | None) -> ExecResult:
        """Run a command in a container to its end; raises DeadlineError when ``seconds`` pass first."""
        ...


class StatsService(Protocol):
    """What containers and pods use; answers at once, from a snapshot about a second old."""

    async def of_containers(self, containers: Sequence[Container]) -> Sequence[ContainerStats]:
        """The usage of ``containers``, in their order."""
        ...

    async def of_pods(self, sandboxes: Sequence[Sandbox]) -> Sequence[PodStats]:
        """The usage of ``sandboxes`` and their containers, in their order."""
        ...

    async def for_metrics(self, sandboxes: Sequence[Sandbox]) -> Sequence[PodStats]:
        """As ``of_pods``, and what the containers have open, which takes longer."""
        ...


class StreamService(Protocol):
    """URLs for streams. Raises NotFoundError, and FailedPreconditionError for what does not run."""

    def exec(self, request: ExecStream) -> str:
        """A URL for running a command."""
        ...

    def attach(self, request: AttachStream) -> str:
        """A URL for the streams of a container's first process."""
        ...

    def port_forward(self, request: PortForwardStream) -> str:
        """A URL for connections to ports of a pod."""
        ...


class EventService(Protocol):
    """What happens to containers and sandboxes."""

    def read(self) -> AsyncGenerator[PodEvent, None]:
        """Events from now on; raises ResourceExhaustedError for a reader that is too slow."""
        ...


class NodeService(Protocol):
    """The runtime as a whole."""

    @property
    def cgroup_driver(self) -> Literal["systemd", "cgroupfs"]:
        """Who makes cgroups; the kubelet has to use the same driver."""
        ...

    async def status(self) -> NodeStatus:
        """Whether runtime and network are ready, and what they can do."""
        ...

    async def info(self) -> Mapping[str, object]:
        """What a verbose status shows; values that JSON knows."""
        ...

    async def update_pod_cidr(self, pod_cidr: str) -> None:
        """Take over the node's pod address ranges, separated by commas; never empty."""
        ...
