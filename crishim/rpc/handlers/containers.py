"""The rpcs about containers, but for statistics, events and streams."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from crishim.core.errors import refusal
from crishim.rpc.convert.container import container_config, container_filter
from crishim.rpc.convert.container_json import container_config_json
from crishim.rpc.convert.container_status import container_item, container_status
from crishim.rpc.convert.fields import required
from crishim.rpc.convert.info import info_map
from crishim.rpc.convert.resources import resources
from crishim.rpc.pb import api_pb2 as pb
from crishim.rpc.ports import ContainerService
from crishim.rpc.registry import Handlers

_CHUNK = 50
"""Containers per message, as for sandboxes."""

_OUTPUT = 16 * 1024 * 1024 - 64
"""Bytes of both streams of a command: CRI wants an answer without the rest, and no client takes more than 16 MiB."""


class ContainerHandlers:
    """Life and description of containers."""

    def __init__(self, containers: ContainerService) -> None:
        self._containers = containers

    def handlers(self) -> Handlers:
        """The rpcs handled here."""
        return {
            "CreateContainer": self.create,
            "StartContainer": self.start,
            "StopContainer": self.stop,
            "RemoveContainer": self.remove,
            "ListContainers": self.list,
            "StreamContainers": self.stream,
            "ContainerStatus": self.status,
            "UpdateContainerResources": self.update,
            "CheckpointContainer": self.checkpoint,
            "ReopenContainerLog": self.reopen_log,
            "ExecSync": self.exec_sync,
        }

    async def create(self, request: pb.CreateContainerRequest) -> pb.CreateContainerResponse:
        """Make a container that waits for its start."""
        config = container_config("config", request.config)
        sandbox_id = required("pod_sandbox_id", request.pod_sandbox_id)
        privileged = request.sandbox_config.linux.security_context.privileged
        made = await self._containers.create(sandbox_id, config, privileged_pod=privileged)
        return pb.CreateContainerResponse(container_id=made)

    async def start(self, request: pb.StartContainerRequest) -> pb.StartContainerResponse:
        """Let a container run."""
        await self._containers.start(required("container_id", request.container_id))
        return pb.StartContainerResponse()

    async def stop(self, request: pb.StopContainerRequest) -> pb.StopContainerResponse:
        """Bring a container to its end."""
        if request.timeout < 0:
            raise refusal("timeout", "seconds, 0 or more", request.timeout)
        await self._containers.stop(required("container_id", request.container_id), float(request.timeout))
        return pb.StopContainerResponse()

    async def remove(self, request: pb.RemoveContainerRequest) -> pb.RemoveContainerResponse:
        """Forget a container."""
        await self._containers.remove(required("container_id", request.container_id))
        return pb.RemoveContainerResponse()

    async def list(self, request: pb.ListContainersRequest) -> pb.ListContainersResponse:
        """List containers."""
        found = self._containers.list(container_filter(request.filter))
        return pb.ListContainersResponse(containers=map(container_item, found))

    async def stream(self, request: pb.StreamContainersRequest) -> AsyncGenerator[pb.StreamContainersResponse, None]:
        """List containers in chunks; an empty list is an empty stream."""
        found = self._containers.list(container_filter(request.filter))
        for start in range(0, len(found), _CHUNK):
            yield pb.StreamContainersResponse(containers=map(container_item, found[start : start + _CHUNK]))

    async def status(self, request: pb.ContainerStatusRequest) -> pb.ContainerStatusResponse:
        """Describe a container."""
        container = self._containers.get(required("container_id", request.container_id))
        response = pb.ContainerStatusResponse(status=container_status(container))
        if request.verbose:
            info = {**self._containers.info(container), "config": container_config_json(container.config)}
            response.info.update(info_map({"info": info}))
        return response

    async def update(self, request: pb.UpdateContainerResourcesRequest) -> pb.UpdateContainerResourcesResponse:
        """Change a container's limits."""
        container_id = required("container_id", request.container_id)
        await self._containers.update(container_id, resources(request.linux))
        return pb.UpdateContainerResourcesResponse()

    async def checkpoint(self, request: pb.CheckpointContainerRequest) -> pb.CheckpointContainerResponse:
        """Say why there are no checkpoints."""
        await self._containers.checkpoint(required("container_id", request.container_id))
        return pb.CheckpointContainerResponse()

    async def reopen_log(self, request: pb.ReopenContainerLogRequest) -> pb.ReopenContainerLogResponse:
        """Write to a new log file from now on."""
        await self._containers.reopen_log(required("container_id", request.container_id))
        return pb.ReopenContainerLogResponse()

    async def exec_sync(self, request: pb.ExecSyncRequest) -> pb.ExecSyncResponse:
        """Run a command in a container and wait for it; a timeout of 0 is none."""
        if request.timeout < 0:
            raise refusal("timeout", "seconds, 0 or more", request.timeout)
        container_id = required("container_id", request.container_id)
        ended = await self._containers.exec_sync(container_id, tuple(request.cmd), float(request.timeout) or None)
        stdout = ended.stdout[:_OUTPUT]
        stderr = ended.stderr[: _OUTPUT - len(stdout)]
        return pb.ExecSyncResponse(stdout=stdout, stderr=stderr, exit_code=ended.exit_code)
