"""From ``ContainerConfig`` and ``ContainerFilter`` to the model. Source: CRI v1 (proto/runtime/v1/api.proto).

Refused here is what the model cannot hold. Whether a configuration can be run is decided where it is run.
"""

from __future__ import annotations

from crishim.core.errors import InvalidArgumentError
from crishim.model.container import (
    ContainerConfig,
    ContainerFilter,
    ContainerMetadata,
    ContainerSecurity,
    Device,
    ImageSpec,
    Mount,
    MountPropagation,
    State,
)
from crishim.rpc.convert.fields import member, number_of, plain, required
from crishim.rpc.convert.resources import resources
from crishim.rpc.convert.security import container_security, id_mappings
from crishim.rpc.pb import api_pb2 as pb

_STATES: dict[int, State] = {
    pb.CONTAINER_CREATED: State.CREATED,
    pb.CONTAINER_RUNNING: State.RUNNING,
    pb.CONTAINER_EXITED: State.EXITED,
    pb.CONTAINER_UNKNOWN: State.CREATING,  # no listed container is in either
}


def container_config(path: str, message: pb.ContainerConfig) -> ContainerConfig:
    """All that a container is made from; ``path`` names ``message``. Raises InvalidArgumentError."""
    linux = message.linux
    return ContainerConfig(
        metadata=_metadata(f"{path}.metadata", message),
        image=_image(f"{path}.image", message.image),
        command=tuple(message.command),
        args=tuple(message.args),
        working_dir=message.working_dir,
        envs=tuple((variable.key, variable.value) for variable in message.envs),
        mounts=tuple(_mount(f"{path}.mounts[{index}]", mount) for index, mount in enumerate(message.mounts)),
        devices=tuple(Device(each.container_path, each.host_path, each.permissions) for each in message.devices),
        cdi_devices=tuple(device.name for device in message.CDI_devices),
        labels=dict(message.labels),
        annotations=dict(message.annotations),
        log_path=message.log_path,
        stdin=message.stdin,
        stdin_once=message.stdin_once,
        tty=message.tty,
        stop_signal=number_of(f"{path}.stop_signal", pb.Signal, message.stop_signal),
        resources=resources(linux.resources),
        security=_security(f"{path}.linux.security_context", linux),
    )


def container_filter(message: pb.ContainerFilter) -> ContainerFilter:
    """Which containers to list; an empty message admits all."""
    state = None
    if message.HasField("state"):
        state = _STATES[number_of("filter.state.state", pb.ContainerState, message.state.state)]
    return ContainerFilter(
        id=message.id, sandbox_id=message.pod_sandbox_id, state=state, labels=dict(message.label_selector)
    )


def _metadata(path: str, message: pb.ContainerConfig) -> ContainerMetadata:
    if not message.HasField("metadata"):
        raise InvalidArgumentError(f"{path}: must be set")
    name = plain(f"{path}.name", required(f"{path}.name", message.metadata.name), forbidden="/")
    return ContainerMetadata(name=name, attempt=message.metadata.attempt)


def _image(path: str, message: pb.ImageSpec) -> ImageSpec:
    return ImageSpec(
        image=required(f"{path}.image", message.image),
        annotations=dict(message.annotations),
        user_specified_image=message.user_specified_image,
        runtime_handler=message.runtime_handler,
        image_ref=message.image_ref,
    )


def _mount(path: str, message: pb.Mount) -> Mount:
    return Mount(
        container_path=message.container_path,
        host_path=message.host_path,
        readonly=message.readonly,
        selinux_relabel=message.selinux_relabel,
        propagation=member(f"{path}.propagation", MountPropagation, message.propagation),
        uid_mappings=id_mappings(message.uidMappings),
        gid_mappings=id_mappings(message.gidMappings),
        recursive_read_only=message.recursive_read_only,
        image=_image(f"{path}.image", message.image) if message.HasField("image") else None,
        image_sub_path=message.image_sub_path,
        mount_options=tuple(message.mount_options),
    )


def _security(path: str, linux: pb.LinuxContainerConfig) -> ContainerSecurity:
    context = linux.security_context
    return container_security(path, context) if linux.HasField("security_context") else ContainerSecurity()
