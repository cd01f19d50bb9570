"""From the model of a container to the messages that show it."""

from __future__ import annotations

from crishim.container.spec.signals import SIGNALS
from crishim.model.container import Container, ContainerMetadata, ImageSpec, Mount, State
from crishim.rpc.convert.message import Fields
from crishim.rpc.convert.resources import resources_fields
from crishim.rpc.convert.security import mapping_fields
from crishim.rpc.pb import api_pb2 as pb

_STATES = {
    State.CREATING: pb.CONTAINER_UNKNOWN,
    State.CREATED: pb.CONTAINER_CREATED,
    State.RUNNING: pb.CONTAINER_RUNNING,
    State.EXITED: pb.CONTAINER_EXITED,
    State.REMOVING: pb.CONTAINER_EXITED,
}


def container_status(container: Container) -> Fields:
    """All that a status shows."""
    config = container.config
    return {
        "id": container.id,
        "metadata": container_metadata(config.metadata),
        "state": _STATES[container.state],
        "created_at": container.created_at,
        # One that ended without a start: a kubelet would show 0 as a start in 1970.
        "started_at": container.started_at or container.finished_at,
        "finished_at": container.finished_at,
        "exit_code": container.exit_code,
        "image": _shown_image(config.image),
        "image_ref": container.image_digest or container.image_ref,
        "image_id": container.image_ref,
        "reason": container.reason,
        "message": container.message,
        "labels": config.labels,
        "annotations": config.annotations,
        "mounts": [_mount(mount) for mount in config.mounts],
        "log_path": container.log_path,
        "resources": {"linux": resources_fields(container.resources)},
        "user": _user(container),
        "stop_signal": _signal(container.stop_signal),
    }


def container_item(container: Container) -> Fields:
    """The part of a container that a list shows."""
    config = container.config
    return {
        "id": container.id,
        "pod_sandbox_id": container.sandbox_id,
        "metadata": container_metadata(config.metadata),
        "image": _image(config.image),
        "image_ref": container.image_digest or container.image_ref,
        "image_id": container.image_ref,
        "state": _STATES[container.state],
        "created_at": container.created_at,
        "labels": config.labels,
        "annotations": config.annotations,
    }


def container_metadata(metadata: ContainerMetadata) -> Fields:
    """What identifies a container to a kubelet."""
    return {"name": metadata.name, "attempt": metadata.attempt}


def _image(image: ImageSpec) -> Fields:
    return {
        "image": image.image,
        "annotations": image.annotations,
        "user_specified_image": image.user_specified_image,
        "runtime_handler": image.runtime_handler,
        "image_ref": image.image_ref,
    }


def _shown_image(image: ImageSpec) -> Fields:
    """People look at this one, and the kubelet asks for images by their ids: show the name it was told."""
    return _image(image) | {"image": image.user_specified_image or image.image}


def _mount(mount: Mount) -> Fields:
    return {
        "container_path": mount.container_path,
        "host_path": mount.host_path,
        "readonly": mount.readonly,
        "selinux_relabel": mount.selinux_relabel,
        "propagation": f"PROPAGATION_{mount.propagation.name}",
        "uidMappings": [mapping_fields(extent) for extent in mount.uid_mappings],
        "gidMappings": [mapping_fields(extent) for extent in mount.gid_mappings],
        "recursive_read_only": mount.recursive_read_only,
        "image": None if mount.image is None else _image(mount.image),
        "image_sub_path": mount.image_sub_path,
        "mount_options": mount.mount_options,
    }


def _user(container: Container) -> Fields:
    return {"linux": {"uid": container.uid, "gid": container.gid, "supplemental_groups": container.supplemental_groups}}


def _signal(name: str) -> str:
    return pb.Signal.Name(SIGNALS.index(name) if name in SIGNALS else 0)
