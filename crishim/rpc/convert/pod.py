"""From ``PodSandboxConfig`` to the model. Source: CRI v1 (proto/runtime/v1/api.proto).

Refused here is what the model cannot hold, or what would corrupt the files and arguments it is written into.
Whether a configuration can be run is decided where it is run.
"""

from __future__ import annotations

from crishim.core.errors import InvalidArgumentError
from crishim.model.pod import DNSConfig, PodConfig, PodMetadata, PortMapping, Protocol, SandboxSecurity
from crishim.rpc.convert.fields import absolute, member, plain, required, words
from crishim.rpc.convert.resources import resources
from crishim.rpc.convert.security import sandbox_security
from crishim.rpc.pb import api_pb2 as pb

_NOT_IN_NAMES = "/;="
"""A name becomes part of paths and of CNI_ARGS, whose syntax is ``key=value;key=value``."""


def pod_config(path: str, message: pb.PodSandboxConfig) -> PodConfig:
    """All that a sandbox is made from; ``path`` names ``message``. Raises InvalidArgumentError."""
    if not message.HasField("metadata"):
        raise InvalidArgumentError(f"{path}.metadata: must be set")
    linux = message.linux
    return PodConfig(
        metadata=_metadata(f"{path}.metadata", message.metadata),
        hostname=message.hostname,
        log_directory=absolute(f"{path}.log_directory", message.log_directory),
        dns=_dns(f"{path}.dns_config", message.dns_config) if message.HasField("dns_config") else None,
        port_mappings=tuple(
            _port_mapping(f"{path}.port_mappings[{index}]", mapping)
            for index, mapping in enumerate(message.port_mappings)
        ),
        labels=dict(message.labels),
        annotations=dict(message.annotations),
        cgroup_parent=linux.cgroup_parent,
        security=_security(f"{path}.linux.security_context", linux),
        sysctls=dict(linux.sysctls),
        overhead=resources(linux.overhead) if linux.HasField("overhead") else None,
        resources=resources(linux.resources) if linux.HasField("resources") else None,
    )


def _metadata(path: str, message: pb.PodSandboxMetadata) -> PodMetadata:
    return PodMetadata(
        name=plain(f"{path}.name", required(f"{path}.name", message.name), _NOT_IN_NAMES),
        uid=plain(f"{path}.uid", message.uid, _NOT_IN_NAMES),
        namespace=plain(f"{path}.namespace", required(f"{path}.namespace", message.namespace), _NOT_IN_NAMES),
        attempt=message.attempt,
    )


def _dns(path: str, message: pb.DNSConfig) -> DNSConfig:
    return DNSConfig(
        servers=words(f"{path}.servers", message.servers),
        searches=words(f"{path}.searches", message.searches),
        options=words(f"{path}.options", message.options),
    )


def _port_mapping(path: str, message: pb.PortMapping) -> PortMapping:
    return PortMapping(
        protocol=member(f"{path}.protocol", Protocol, message.protocol),
        container_port=message.container_port,
        host_port=message.host_port,
        host_ip=message.host_ip,
    )


def _security(path: str, linux: pb.LinuxPodSandboxConfig) -> SandboxSecurity:
    return sandbox_security(path, linux.security_context) if linux.HasField("security_context") else SandboxSecurity()
