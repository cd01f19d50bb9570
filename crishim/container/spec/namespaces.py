"""The namespaces of a container: the pod's, its own, the node's or another container's."""

from __future__ import annotations

from collections.abc import Iterable

from crishim.container.spec.fields import SECURITY, check_text
from crishim.container.spec.inputs import Json, SpecInputs
from crishim.core.errors import InvalidArgumentError, refusal
from crishim.drivers.cgroups import CgroupMode
from crishim.model.container import ContainerConfig
from crishim.model.pod import IDMapping, NamespaceMode
from crishim.model.sandbox import Sandbox

_FIELD = f"{SECURITY}.namespace_options"


def namespaces(inputs: SpecInputs) -> list[Json]:
    """The ``namespaces`` list; what is not in it is the node's.

    Network, IPC and UTS are always those of the sandbox. A cgroup namespace hides the node's groups where there is
    only cgroup v2; with the others, and for privileged containers, workloads expect to see the real paths.
    """
    config, paths = inputs.config, inputs.sandbox.namespaces
    spaces: list[Json] = [{"type": "mount"}]
    joined = {"network": paths.net, "ipc": paths.ipc, "uts": paths.uts}
    spaces += [{"type": kind, "path": path} for kind, path in joined.items() if path]
    spaces += _pid(pid_mode(config, inputs.sandbox), inputs.pid_namespace)
    if inputs.host.cgroup_mode is CgroupMode.V2 and not config.security.privileged:
        spaces.append({"type": "cgroup"})
    return [*spaces, *joined_user_namespace(inputs.sandbox)]


def id_mappings(sandbox: Sandbox) -> Json:
    """``uidMappings`` and ``gidMappings`` of a pod with a user namespace, nothing of others."""
    ids = sandbox.id_map
    return {"uidMappings": oci_mappings(ids.userns.uids), "gidMappings": oci_mappings(ids.userns.gids)} if ids else {}


def joined_user_namespace(sandbox: Sandbox) -> list[Json]:
    """The entry of the ``namespaces`` list in a pod with a user namespace, nothing in others."""
    ids = sandbox.id_map
    return [{"type": "user", "path": ids.namespace}] if ids else []


def oci_mappings(extents: Iterable[IDMapping]) -> list[Json]:
    """Extents as the OCI configuration has them."""
    return [{"containerID": each.container_id, "hostID": each.host_id, "size": each.length} for each in extents]


def pid_mode(config: ContainerConfig, sandbox: Sandbox) -> NamespaceMode:
    """Whose PID namespace the container gets: in a pod that has the node's, POD means the node's."""
    asked = config.security.namespaces.pid
    if asked is NamespaceMode.POD and sandbox.config.namespaces.pid is NamespaceMode.NODE:
        return NamespaceMode.NODE
    return asked


def check_namespaces(config: ContainerConfig, sandbox: Sandbox) -> None:
    """Refuse namespaces that the pod does not allow or does not have."""
    options = config.security.namespaces
    mode = pid_mode(config, sandbox)
    if mode is NamespaceMode.NODE and sandbox.config.namespaces.pid is not NamespaceMode.NODE:
        raise InvalidArgumentError(f"{_FIELD}.pid: NODE is only possible in a pod whose sandbox has NODE too")
    check_text(f"{_FIELD}.target_id", options.target_id)
    if mode is NamespaceMode.TARGET and not options.target_id:
        raise refusal(f"{_FIELD}.target_id", "the id of a container of the pod", options.target_id)
    own = options.userns if options.userns and options.userns.mode is NamespaceMode.POD else None
    if own != sandbox.config.user_namespace:
        raise refusal(f"{_FIELD}.userns_options", "those of the pod", own)


def _pid(mode: NamespaceMode, path: str | None) -> list[Json]:
    if mode is NamespaceMode.NODE:
        return []
    if mode is NamespaceMode.CONTAINER:
        return [{"type": "pid"}]
    if path is None:
        raise InvalidArgumentError(f"{_FIELD}.pid: {mode.name} needs a PID namespace to join, and there is none")
    return [{"type": "pid", "path": path}]
