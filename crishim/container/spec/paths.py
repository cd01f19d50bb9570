"""Paths of the container that it must not see or must not write to."""

from __future__ import annotations

from crishim.container.spec.fields import SECURITY, check_path
from crishim.container.spec.inputs import Json
from crishim.model.container import ContainerSecurity


def guarded_paths(security: ContainerSecurity) -> Json:
    """Exactly the lists of the request, which has them from the kubelet; none of a privileged container."""
    if security.privileged:
        return {"maskedPaths": [], "readonlyPaths": []}
    return {"maskedPaths": list(security.masked_paths), "readonlyPaths": list(security.readonly_paths)}


def check_guarded_paths(security: ContainerSecurity) -> None:
    """Refuse what is no path."""
    for name, paths in (("masked_paths", security.masked_paths), ("readonly_paths", security.readonly_paths)):
        for index, path in enumerate(paths):
            check_path(f"{SECURITY}.{name}[{index}]", path)
