"""The devices of a container, and which devices its control group lets it use."""

from __future__ import annotations

from collections.abc import Iterable

from crishim.container.spec.fields import check_path, check_text
from crishim.container.spec.inputs import Json, SpecInputs
from crishim.container.spec.mount_paths import normal_path
from crishim.core.errors import refusal
from crishim.drivers.devices import DeviceNode
from crishim.model.container import ContainerConfig, Device

_ANYTHING = "rwm"


def devices(inputs: SpecInputs) -> list[Json]:
    """The ``devices`` list: those asked for, and the node's for a privileged container, each path once."""
    asked = [oci_device(path, node, _ownership(inputs)) for path, node, _ in _asked(inputs.config.devices, inputs)]
    theirs = [oci_device(node.path, node) for node in inputs.host.devices] if _has_host_devices(inputs) else []
    return list({device["path"]: device for device in [*theirs, *asked]}.values())


def device_rules(inputs: SpecInputs) -> list[Json]:
    """The device rules of the control group: nothing, but what is allowed; later rules win.

    What every container has, such as /dev/null, the OCI runtime adds itself.
    """
    if _has_host_devices(inputs) or (inputs.config.security.privileged and inputs.all_devices_allowed):
        return [{"allow": True, "access": _ANYTHING}]
    rules: list[Json] = [{"allow": False, "access": _ANYTHING}]
    for _, node, access in _asked(inputs.config.devices, inputs):
        rules += allowing(node, access)
    return rules


def oci_device(path: str, node: DeviceNode, owner: tuple[int, int] | None = None) -> Json:
    """One entry of the ``devices`` list."""
    uid, gid = owner or (0, 0)
    numbers = {} if node.kind == "p" else {"major": node.major, "minor": node.minor}
    owned = {"fileMode": node.mode, "uid": uid or node.uid, "gid": gid or node.gid}
    return {"path": path, "type": node.kind, **numbers, **owned}


def allowing(node: DeviceNode, access: str) -> list[Json]:
    """The rule that lets a container use one device; none for a FIFO, which needs none and may have none."""
    if node.kind not in ("b", "c"):
        return []
    return [{"allow": True, "type": node.kind, "major": node.major, "minor": node.minor, "access": access}]


def check_devices(config: ContainerConfig) -> None:
    """Refuse devices that cannot be what was meant."""
    for index, device in enumerate(config.devices):
        field = f"config.devices[{index}]"
        check_path(f"{field}.host_path", device.host_path)
        check_text(f"{field}.container_path", device.container_path)
        if not device.container_path or normal_path(device.container_path) == "/":
            raise refusal(f"{field}.container_path", "a path below the root", device.container_path)
        if not set(device.permissions) <= set(_ANYTHING):
            raise refusal(f"{field}.permissions", "some of r, w and m", device.permissions)


def _has_host_devices(inputs: SpecInputs) -> bool:
    return inputs.config.security.privileged and not inputs.privileged_without_host_devices


def _asked(asked: Iterable[Device], inputs: SpecInputs) -> list[tuple[str, DeviceNode, str]]:
    """Path in the container, node and permissions of each device; a directory stands for all devices below it."""
    return [
        (
            normal_path(device.container_path + node.path.removeprefix(device.host_path)),
            node,
            "".join(letter for letter in _ANYTHING if letter in (device.permissions or _ANYTHING)),
        )
        for device in asked
        for node in inputs.devices[device.host_path]
    ]


def _ownership(inputs: SpecInputs) -> tuple[int, int] | None:
    security = inputs.config.security
    return (security.run_as_user or 0, security.run_as_group or 0) if inputs.device_ownership else None
