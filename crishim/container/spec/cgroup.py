"""Which control group a container is in."""

from __future__ import annotations

import posixpath

from crishim.container.spec.inputs import HostFacts
from crishim.model.sandbox import Sandbox

_NAME = "crishim"
_SLICE = "system.slice"


def cgroups_path(container_id: str, sandbox: Sandbox, host: HostFacts) -> str:
    """A path below the pod's group, or what systemd wants: ``slice:prefix:name``."""
    parent = sandbox.config.cgroup_parent
    if host.systemd_cgroup:
        return f"{posixpath.basename(parent.rstrip('/')) or _SLICE}:{_NAME}:{container_id}"
    return posixpath.join("/", parent or _NAME, container_id)
