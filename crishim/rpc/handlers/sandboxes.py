"""The rpcs about pod sandboxes."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from crishim.rpc.convert.fields import required
from crishim.rpc.convert.info import info_map
from crishim.rpc.convert.pod import pod_config
from crishim.rpc.convert.pod_json import pod_config_json
from crishim.rpc.convert.resources import resources
from crishim.rpc.convert.sandbox import sandbox_filter, sandbox_item, sandbox_status
from crishim.rpc.pb import api_pb2 as pb
from crishim.rpc.ports import SandboxService
from crishim.rpc.registry import Handlers

_CHUNK = 50
"""Sandboxes per message: with the 256 KiB of annotations that Kubernetes allows a pod, 13 of 16 MiB."""


class SandboxHandlers:
    """Life and description of sandboxes."""

    def __init__(self, sandboxes: SandboxService) -> None:
        self._sandboxes = sandboxes

    def handlers(self) -> Handlers:
        """The rpcs handled here."""
        return {
            "RunPodSandbox": self.run,
            "StopPodSandbox": self.stop,
            "RemovePodSandbox": self.remove,
            "PodSandboxStatus": self.status,
            "ListPodSandbox": self.list,
            "StreamPodSandboxes": self.stream,
            "UpdatePodSandboxResources": self.update_resources,
        }

    async def run(self, request: pb.RunPodSandboxRequest) -> pb.RunPodSandboxResponse:
        """Make a sandbox."""
        sandbox_id = await self._sandboxes.run(pod_config("config", request.config), request.runtime_handler)
        return pb.RunPodSandboxResponse(pod_sandbox_id=sandbox_id)

    async def stop(self, request: pb.StopPodSandboxRequest) -> pb.StopPodSandboxResponse:
        """Stop a sandbox."""
        await self._sandboxes.stop(_id_of(request))
        return pb.StopPodSandboxResponse()

    async def remove(self, request: pb.RemovePodSandboxRequest) -> pb.RemovePodSandboxResponse:
        """Forget a sandbox."""
        await self._sandboxes.remove(_id_of(request))
        return pb.RemovePodSandboxResponse()

    async def status(self, request: pb.PodSandboxStatusRequest) -> pb.PodSandboxStatusResponse:
        """Describe a sandbox."""
        sandbox = self._sandboxes.get(_id_of(request))
        response = pb.PodSandboxStatusResponse(status=sandbox_status(sandbox))
        if request.verbose:
            info = {**self._sandboxes.info(sandbox), "config": pod_config_json(sandbox.config)}
            response.info.update(info_map({"info": info}))
        return response

    async def list(self, request: pb.ListPodSandboxRequest) -> pb.ListPodSandboxResponse:
        """List sandboxes."""
        found = self._sandboxes.list(sandbox_filter(request.filter))
        return pb.ListPodSandboxResponse(items=map(sandbox_item, found))

    async def stream(
        self, request: pb.StreamPodSandboxesRequest
    ) -> AsyncGenerator[pb.StreamPodSandboxesResponse, None]:
        """List sandboxes in chunks; an empty list is an empty stream."""
        found = self._sandboxes.list(sandbox_filter(request.filter))
        for start in range(0, len(found), _CHUNK):
            items = map(sandbox_item, found[start : start + _CHUNK])
            yield pb.StreamPodSandboxesResponse(pod_sandboxes=items)

    async def update_resources(
        self, request: pb.UpdatePodSandboxResourcesRequest
    ) -> pb.UpdatePodSandboxResourcesResponse:
        """Change a pod's resources."""
        overhead = resources(request.overhead) if request.HasField("overhead") else None
        wanted = resources(request.resources) if request.HasField("resources") else None
        await self._sandboxes.update_resources(_id_of(request), overhead, wanted)
        return pb.UpdatePodSandboxResourcesResponse()


_Request = (
    pb.StopPodSandboxRequest
    | pb.RemovePodSandboxRequest
    | pb.PodSandboxStatusRequest
    | pb.UpdatePodSandboxResourcesRequest
)


def _id_of(request: _Request) -> str:
    """Never empty: the empty text is a prefix of every id."""
    return required("pod_sandbox_id", request.pod_sandbox_id)
