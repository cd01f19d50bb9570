"""Devices described by the Container Device Interface: which ones are meant, and their edits of the configuration.

Source: Container Device Interface specification 1.1.0.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from crishim.container.spec.devices import allowing, oci_device
from crishim.container.spec.environment import environment_with
from crishim.container.spec.inputs import Json
from crishim.container.spec.mount_paths import depth
from crishim.core.errors import refusal
from crishim.drivers.cdi import CdiDeviceNode, CdiHook, CdiMount, ContainerEdits
from crishim.drivers.devices import DeviceNode
from crishim.model.container import ContainerConfig

_PREFIX = "cdi.k8s.io/"
_NAME = re.compile(
    r"[A-Za-z]([\w.-]*[A-Za-z0-9])?/[A-Za-z]([\w.-]*[A-Za-z0-9])?=[A-Za-z0-9]([\w.:-]*[A-Za-z0-9])?", re.A
)


def cdi_devices(config: ContainerConfig) -> tuple[str, ...]:
    """The qualified names of the devices asked for, each once: those of the field, then those of annotations.

    Raises InvalidArgumentError for what is no such name.
    """
    named = [("config.CDI_devices", config.cdi_devices)]
    named += [
        (f'config.annotations["{key}"]', tuple(value.split(",")))
        for key, value in config.annotations.items()
        if key.startswith(_PREFIX)
    ]
    for field, names in named:
        for name in names:
            if not _NAME.fullmatch(name):
                raise refusal(field, "vendor/class=device", name)
    return tuple(dict.fromkeys(name for _, names in named for name in names))


def apply_edits(spec: Json, edits: Iterable[ContainerEdits]) -> Json:
    """``spec`` with all ``edits`` made."""
    for each in edits:
        spec = _apply(spec, each)
    return spec


def _apply(spec: Json, edits: ContainerEdits) -> Json:
    process, linux = spec["process"], spec["linux"]
    gids = dict.fromkeys([*process["user"]["additionalGids"], *(gid for gid in edits.additional_gids if gid)])
    edited = {
        **spec,
        "process": {
            **process,
            "env": environment_with(process["env"], edits.env),
            "user": {**process["user"], "additionalGids": list(gids)},
        },
        "mounts": _with_mounts(spec["mounts"], edits.mounts),
        "linux": _with_devices(linux, process["user"], edits.device_nodes),
    }
    if edits.intel_rdt:
        edited["linux"]["intelRdt"] = dict(edits.intel_rdt)
    if edits.hooks:
        edited["hooks"] = _with_hooks(spec.get("hooks", {}), edits.hooks)
    return edited


def _with_mounts(mounts: list[Json], added: tuple[CdiMount, ...]) -> list[Json]:
    if not added:
        return mounts
    ours = [
        {
            "destination": mount.container_path,
            "source": mount.host_path,
            "type": mount.type or "bind",
            "options": list(mount.options) or ["rbind", "ro"],
        }
        for mount in added
    ]
    replaced = {mount["destination"] for mount in ours}
    return sorted(
        [*(mount for mount in mounts if mount["destination"] not in replaced), *ours],
        key=lambda mount: depth(mount["destination"]),
    )


def _with_devices(linux: Json, user: Mapping[str, int], nodes: tuple[CdiDeviceNode, ...]) -> Json:
    devices = {device["path"]: device for device in linux["devices"]}
    rules = list(linux["resources"]["devices"])
    for node in nodes:
        owner = (user["uid"] if node.uid is None else node.uid, user["gid"] if node.gid is None else node.gid)
        device = DeviceNode(node.path, node.type, node.major, node.minor, node.file_mode or 0o666)
        devices[node.path] = oci_device(node.path, device, owner)
        rules += allowing(device, node.permissions or "rwm")
    return {**linux, "devices": list(devices.values()), "resources": {**linux["resources"], "devices": rules}}


def _with_hooks(hooks: Mapping[str, list[Json]], added: Iterable[CdiHook]) -> Json:
    merged = {name: list(present) for name, present in hooks.items()}
    for hook in added:
        parts = {"path": hook.path, "args": list(hook.args), "env": list(hook.env), "timeout": hook.timeout}
        merged.setdefault(hook.hook_name, []).append({name: part for name, part in parts.items() if part})
    return merged
