"""What is mounted in a container: the usual file systems, the pod's files, and what was asked for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from crishim.container.spec.fields import check_path, check_text
from crishim.container.spec.inputs import HostFacts, Json, PodFiles, SpecInputs
from crishim.container.spec.mount_paths import depth, normal_path
from crishim.container.spec.namespaces import oci_mappings
from crishim.core.errors import InvalidArgumentError, refusal
from crishim.drivers.mount_points import FILES
from crishim.drivers.propagation import Propagation
from crishim.model.container import ContainerConfig, Mount, MountPropagation
from crishim.model.pod import IDMapping, NamespaceMode, UserNamespace
from crishim.model.sandbox import Sandbox

_PROPAGATION = {
    MountPropagation.PRIVATE: "rprivate",
    MountPropagation.HOST_TO_CONTAINER: "rslave",
    MountPropagation.BIDIRECTIONAL: "rshared",
}
_MOUNT_OPTIONS = ("nodev", "noexec", "nosuid")


def mounts(inputs: SpecInputs) -> list[Json]:
    """The ``mounts`` list: the usual ones first, then all others, what is nearer to the root before what is below.

    What the request mounts takes the place of anything else at that path; its own /dev also that of all below it.
    """
    requested = [_mount(mount, inputs) for mount in inputs.config.mounts]
    taken = {mount["destination"] for mount in requested}
    ours = [each for each in (*_pod_files(inputs), *_volumes(inputs)) if each["destination"] not in taken]
    bound = requested + ours
    taken = {each["destination"] for each in bound}
    usual = [each for each in _usual_mounts(inputs) if not _is_replaced(each["destination"], taken)]
    return usual + sorted(bound, key=lambda mount: depth(mount["destination"]))


def root_propagation(config: ContainerConfig) -> Json:
    """``rootfsPropagation``, as wide as the widest mount needs it."""
    widest = max((mount.propagation for mount in config.mounts), default=MountPropagation.PRIVATE)
    return {"rootfsPropagation": _PROPAGATION[widest]} if widest is not MountPropagation.PRIVATE else {}


def host_paths(config: ContainerConfig) -> list[str]:
    """The paths of the node that must be there; what is missing is to be made, as a directory."""
    return [mount.host_path for mount in config.mounts if mount.host_path]


def mounted_at_files(config: ContainerConfig) -> list[str]:
    """The paths of the node, empty for an image, that are mounted where a file lies below every image."""
    return [mount.host_path for mount in config.mounts if normal_path(mount.container_path) in FILES]


def relabelled_paths(config: ContainerConfig, sandbox: Sandbox, files: PodFiles) -> list[str]:
    """The paths of the node that are to get the container's SELinux label, with their content."""
    shm = [files.shm] if sandbox.namespaces.ipc else []
    asked = [mount.host_path for mount in config.mounts if mount.selinux_relabel and mount.host_path]
    return [files.hostname, files.hosts, files.resolv_conf, *shm, *asked]


def check_mounts(config: ContainerConfig, host: HostFacts, userns: UserNamespace | None = None) -> None:
    """Refuse mounts that make no sense or that this node cannot make; ``userns`` is the pod's own."""
    for index, mount in enumerate(config.mounts):
        field = f"config.mounts[{index}]"
        _check_paths(field, mount)
        _check_recursion(field, mount, host)
        if bool(mount.uid_mappings) != bool(mount.gid_mappings):
            raise InvalidArgumentError(f"{field}: expected both uidMappings and gidMappings, or neither")
        if mount.uid_mappings and mount.image is None and not host.id_mapped_mounts:
            raise InvalidArgumentError(f"{field}.uidMappings: the OCI runtime or this node has no idmapped mounts")
        if mount.uid_mappings and mount.image is not None and not _is_of(userns, mount):
            raise InvalidArgumentError(f"{field}.uidMappings: expected those of the pod, as an image is mounted")
        for option in mount.mount_options:
            if option not in _MOUNT_OPTIONS:
                raise refusal(f"{field}.mount_options", " or ".join(_MOUNT_OPTIONS), option)


def _is_of(userns: UserNamespace | None, mount: Mount) -> bool:
    return userns is not None and (mount.uid_mappings, mount.gid_mappings) == (userns.uids, userns.gids)


def check_propagation(config: ContainerConfig, found: Mapping[str, Propagation]) -> None:
    """Refuse mounts that would not propagate; ``found`` is how mounts do at each of ``propagating_paths``."""
    for index, mount in enumerate(config.mounts):
        enough = {
            MountPropagation.BIDIRECTIONAL: (Propagation.SHARED,),
            MountPropagation.HOST_TO_CONTAINER: (Propagation.SHARED, Propagation.SLAVE),
        }.get(mount.propagation)
        if enough and mount.host_path and found[mount.host_path] not in enough:
            field, wanted = f"config.mounts[{index}].host_path", " or ".join(enough)
            raise refusal(field, f"a path on a {wanted} mount, for {mount.propagation.name}", mount.host_path)


def propagating_paths(config: ContainerConfig) -> list[str]:
    """The paths of the node whose mounts are to reach the container."""
    return [each.host_path for each in config.mounts if each.host_path and each.propagation]


def _check_paths(field: str, mount: Mount) -> None:
    check_text(f"{field}.container_path", mount.container_path)
    if not mount.container_path or normal_path(mount.container_path) == "/":
        raise refusal(f"{field}.container_path", "a path below the root", mount.container_path)
    if mount.image is None:
        check_path(f"{field}.host_path", mount.host_path)
        return
    if mount.host_path:
        raise refusal(f"{field}.host_path", "nothing, as an image is mounted", mount.host_path)
    if not mount.readonly:
        raise InvalidArgumentError(f"{field}.readonly: must be true, as an image is mounted")
    check_text(f"{field}.image_sub_path", mount.image_sub_path)
    if mount.image_sub_path.startswith("/") or ".." in mount.image_sub_path.split("/"):
        raise refusal(f"{field}.image_sub_path", "a relative path without ..", mount.image_sub_path)


def _check_recursion(field: str, mount: Mount, host: HostFacts) -> None:
    if not mount.recursive_read_only:
        return
    if not mount.readonly:
        raise InvalidArgumentError(f"{field}.recursive_read_only: needs readonly too")
    if mount.propagation is not MountPropagation.PRIVATE:
        raise InvalidArgumentError(f"{field}.recursive_read_only: needs PROPAGATION_PRIVATE")
    if not host.recursive_read_only:
        raise InvalidArgumentError(f"{field}.recursive_read_only: the OCI runtime or this node cannot do it")


def _is_replaced(path: str, taken: set[str]) -> bool:
    return path in taken or ("/dev" in taken and path.startswith("/dev/"))


def _mount(mount: Mount, inputs: SpecInputs) -> Json:
    read_only = "rro" if mount.recursive_read_only else "ro" if mount.readonly else "rw"
    options = (_PROPAGATION[mount.propagation], read_only, *mount.mount_options)
    if mount.image is None:
        return _bind(mount.host_path, mount.container_path, options, mount.uid_mappings, mount.gid_mappings)
    # The id map of an image is that of its own mount already.
    return _bind(inputs.image_mounts[mount.container_path], mount.container_path, options)


def _bind(
    source: str,
    path: str,
    options: Iterable[str],
    uids: tuple[IDMapping, ...] = (),
    gids: tuple[IDMapping, ...] = (),
) -> Json:
    mappings = {"uidMappings": oci_mappings(uids), "gidMappings": oci_mappings(gids)} if uids else {}
    bind = {"destination": normal_path(path), "type": "bind", "source": source, "options": ["rbind", *options]}
    return {**bind, **mappings}


def _pod_files(inputs: SpecInputs) -> list[Json]:
    files, options = inputs.files, ("rprivate", "ro" if inputs.config.security.readonly_rootfs else "rw")
    own_shm = (files.shm, ("rprivate", "rw", "nosuid", "nodev", "noexec"))  # crun drops flags that are not named
    shm, shm_options = own_shm if inputs.sandbox.namespaces.ipc else ("/dev/shm", ("rprivate", "rw"))
    return [
        _bind(files.hostname, "/etc/hostname", options),
        _bind(files.hosts, "/etc/hosts", options),
        _bind(files.resolv_conf, "/etc/resolv.conf", options),
        _bind(shm, "/dev/shm", shm_options),
    ]


def _volumes(inputs: SpecInputs) -> list[Json]:
    # Files copied from the root file system have the ids of the pod's user namespace already.
    return [_bind(source, path, ("rprivate", "rw")) for path, source in inputs.volumes.items()]


def _usual_mounts(inputs: SpecInputs) -> list[Json]:
    writable = "rw" if inputs.config.security.privileged else "ro"
    cgroup = ["nosuid", "noexec", "nodev", "relatime", writable, *_kept_cgroup_options(inputs)]
    return [
        _special("proc", "/proc", ["nosuid", "noexec", "nodev"]),
        _special("tmpfs", "/dev", ["nosuid", "strictatime", "mode=755", "size=65536k"]),
        _special("devpts", "/dev/pts", ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]),
        _special("mqueue", "/dev/mqueue", ["nosuid", "noexec", "nodev"]),
        _sysfs(inputs, writable),
        _special("cgroup", "/sys/fs/cgroup", cgroup),
    ]


def _special(kind: str, path: str, options: list[str]) -> Json:
    return {"destination": path, "type": kind, "source": kind, "options": options}


def _sysfs(inputs: SpecInputs, writable: str) -> Json:
    node_network = inputs.sandbox.config.namespaces.network is NamespaceMode.NODE
    if node_network and inputs.sandbox.config.user_namespace:
        # The kernel lets a user namespace mount sysfs only for a network namespace of its own.
        read_only = "rro" if inputs.host.recursive_read_only else "ro"
        return _bind("/sys", "/sys", (read_only, "nosuid", "noexec", "nodev"))
    return _special("sysfs", "/sys", ["nosuid", "noexec", "nodev", writable])


def _kept_cgroup_options(inputs: SpecInputs) -> tuple[str, ...]:
    """Without a cgroup namespace the container mounts the node's own cgroup2, and would reset its options."""
    return inputs.host.cgroup2_options if inputs.config.security.privileged else ()
