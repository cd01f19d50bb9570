"""The whole OCI configuration, put together from its parts."""

from __future__ import annotations

from crishim.container.spec.annotations import spec_annotations
from crishim.container.spec.cdi import apply_edits
from crishim.container.spec.cgroup import cgroups_path
from crishim.container.spec.devices import device_rules, devices
from crishim.container.spec.inputs import OCI_VERSION, Json, SpecInputs
from crishim.container.spec.mounts import mounts, root_propagation
from crishim.container.spec.namespaces import id_mappings, namespaces
from crishim.container.spec.paths import guarded_paths
from crishim.container.spec.process import process
from crishim.container.spec.resources import linux_resources
from crishim.container.spec.seccomp import seccomp
from crishim.container.spec.selinux import selinux_labels


def build_spec(inputs: SpecInputs) -> Json:
    """The content of ``config.json``; raises InvalidArgumentError naming the field that cannot be had."""
    spec = {
        "ociVersion": OCI_VERSION,
        "process": process(inputs),
        "root": {"path": inputs.rootfs, "readonly": inputs.config.security.readonly_rootfs},
        "mounts": mounts(inputs),
        "annotations": spec_annotations(inputs),
        "linux": _linux(inputs),
    }
    return apply_edits(spec, inputs.cdi_edits)


def _linux(inputs: SpecInputs) -> Json:
    config, sandbox, host = inputs.config, inputs.sandbox, inputs.host
    label = selinux_labels(config, sandbox, host).mount
    profile = seccomp(config.security, host, inputs.seccomp_profile)
    return {
        "namespaces": namespaces(inputs),
        **id_mappings(sandbox),
        "cgroupsPath": cgroups_path(inputs.container.id, sandbox, host),
        "resources": {"devices": device_rules(inputs), **linux_resources(inputs.container.resources, host)},
        "devices": devices(inputs),
        **guarded_paths(config.security),
        **root_propagation(config),
        **({"mountLabel": label} if label else {}),
        **({"seccomp": profile} if profile else {}),
    }
