"""The rpcs about the runtime itself."""

from __future__ import annotations

import crishim
from crishim.rpc.convert.info import info_map
from crishim.rpc.convert.node import status_response
from crishim.rpc.pb import api_pb2 as pb
from crishim.rpc.ports import NodeService
from crishim.rpc.registry import Handlers

_KUBELET_API = "0.1.0"
_CRI = "v1"


class NodeHandlers:
    """Version, Status and settings."""

    def __init__(self, node: NodeService) -> None:
        self._node = node

    def handlers(self) -> Handlers:
        """The rpcs handled here."""
        return {
            "Version": self.version,
            "Status": self.status,
            "RuntimeConfig": self.runtime_config,
            "UpdateRuntimeConfig": self.update_runtime_config,
        }

    async def version(self, request: pb.VersionRequest) -> pb.VersionResponse:
        """Names and versions."""
        return pb.VersionResponse(
            version=_KUBELET_API,
            runtime_name="crishim",
            runtime_version=crishim.__version__,
            runtime_api_version=_CRI,
        )

    async def status(self, request: pb.StatusRequest) -> pb.StatusResponse:
        """Conditions, handlers and features."""
        response = status_response(await self._node.status())
        if request.verbose:
            response.info.update(info_map(await self._node.info()))
        return response

    async def runtime_config(self, request: pb.RuntimeConfigRequest) -> pb.RuntimeConfigResponse:
        """The cgroup driver."""
        driver = pb.SYSTEMD if self._node.cgroup_driver == "systemd" else pb.CGROUPFS
        return pb.RuntimeConfigResponse(linux=pb.LinuxRuntimeConfiguration(cgroup_driver=driver))

    async def update_runtime_config(self, request: pb.UpdateRuntimeConfigRequest) -> pb.UpdateRuntimeConfigResponse:
        """Take over the pod CIDR; a request without one changes nothing."""
        if ranges := request.runtime_config.network_config.pod_cidr:
            await self._node.update_pod_cidr(ranges)
        return pb.UpdateRuntimeConfigResponse()
