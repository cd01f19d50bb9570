"""What a caller asks of a pod sandbox, as frozen values. Field names and meaning are those of CRI v1.

What has its default value is not written to storage, nor shown by a verbose status, so no default may ever change.

Source: CRI v1 ``PodSandboxConfig`` and the messages below it (proto/runtime/v1/api.proto).
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum

from msgspec import Struct, field


class NamespaceMode(IntEnum):
    """Whose namespace: the pod's, the container's own, the node's, or that of a target container."""

    POD = 0
    CONTAINER = 1
    NODE = 2
    TARGET = 3


class Protocol(IntEnum):
    """Transport protocol of a port mapping."""

    TCP = 0
    UDP = 1
    SCTP = 2


class PodMetadata(Struct, frozen=True, omit_defaults=True):
    """The four values that together name one attempt of one pod."""

    name: str
    uid: str
    namespace: str
    attempt: int = 0

    @property
    def reservation(self) -> str:
        """The name under which this attempt is reserved: the same four values, the same sandbox."""
        return f"{self.name!r} {self.namespace!r} {self.uid!r} {self.attempt}"

    @property
    def pod(self) -> tuple[str, str, str]:
        """What all attempts of one pod have in common."""
        return self.name, self.namespace, self.uid


class DNSConfig(Struct, frozen=True, omit_defaults=True):
    """Content of the pod's resolv.conf."""

    servers: tuple[str, ...] = ()
    searches: tuple[str, ...] = ()
    options: tuple[str, ...] = ()


class PortMapping(Struct, frozen=True, omit_defaults=True):
    """A port of the host that leads to a port of the pod; ``host_ip`` empty means every address."""

    protocol: Protocol
    container_port: int
    host_port: int
    host_ip: str = ""


class IDMapping(Struct, frozen=True):
    """One extent of a user namespace's id map."""

    host_id: int
    container_id: int
    length: int


class UserNamespace(Struct, frozen=True):
    """The pod's user namespace; mode NODE means none of its own."""

    mode: NamespaceMode = NamespaceMode.NODE
    uids: tuple[IDMapping, ...] = ()
    gids: tuple[IDMapping, ...] = ()

    def on_node(self, uid: int, gid: int) -> tuple[int, int]:
        """What a user and a group of the namespace are on the node; those that are not mapped are its root's."""
        return _or_root(self.uids, uid), _or_root(self.gids, gid)


def on_node(extents: tuple[IDMapping, ...], number: int) -> int | None:
    """What a number of a user namespace is on the node; None when it is not mapped."""
    for extent in extents:
        if 0 <= number - extent.container_id < extent.length:
            return extent.host_id + number - extent.container_id
    return None


def _or_root(extents: tuple[IDMapping, ...], number: int) -> int:
    for wanted in (number, 0):
        if (found := on_node(extents, wanted)) is not None:
            return found
    raise ValueError(f"{extents}: expected 0 to be mapped")


class NamespaceOptions(Struct, frozen=True, omit_defaults=True):
    """Which namespaces the pod's containers share. ``userns`` None: the caller said nothing."""

    network: NamespaceMode = NamespaceMode.POD
    pid: NamespaceMode = NamespaceMode.POD
    ipc: NamespaceMode = NamespaceMode.POD
    target_id: str = ""
    userns: UserNamespace | None = None


class ProfileType(IntEnum):
    """Where a seccomp or AppArmor profile comes from: the runtime, nowhere (there is none), or the node."""

    RUNTIME_DEFAULT = 0
    UNCONFINED = 1
    LOCALHOST = 2


class GroupsPolicy(IntEnum):
    """Whether a user's groups in the image count beside those that are asked for."""

    MERGE = 0
    STRICT = 1


class SecurityProfile(Struct, frozen=True, omit_defaults=True):
    """A seccomp or AppArmor profile; LOCALHOST comes with ``localhost_ref``."""

    profile_type: ProfileType = ProfileType.RUNTIME_DEFAULT
    localhost_ref: str = ""


class SELinuxOptions(Struct, frozen=True, omit_defaults=True):
    """An SELinux label, part by part."""

    user: str = ""
    role: str = ""
    type: str = ""
    level: str = ""


class SandboxSecurity(Struct, frozen=True, omit_defaults=True):
    """Security context of the pod as a whole. None means that the caller said nothing."""

    namespaces: NamespaceOptions = NamespaceOptions()
    selinux: SELinuxOptions | None = None
    run_as_user: int | None = None
    run_as_group: int | None = None
    readonly_rootfs: bool = False
    supplemental_groups: tuple[int, ...] = ()
    supplemental_groups_policy: GroupsPolicy = GroupsPolicy.MERGE
    privileged: bool = False
    seccomp: SecurityProfile | None = None
    apparmor: SecurityProfile | None = None


class Resources(Struct, frozen=True, omit_defaults=True):
    """Linux resources of a pod or container; 0 or empty: not set. Memory in bytes, CPU times in microseconds."""

    cpu_period: int = 0
    cpu_quota: int = 0
    cpu_shares: int = 0
    memory_limit_in_bytes: int = 0
    oom_score_adj: int = 0
    cpuset_cpus: str = ""
    cpuset_mems: str = ""
    hugepage_limits: Mapping[str, int] = field(default_factory=dict)
    unified: Mapping[str, str] = field(default_factory=dict)
    memory_swap_limit_in_bytes: int = 0


class PodConfig(Struct, frozen=True, omit_defaults=True):
    """Everything ``RunPodSandbox`` was asked for; labels and annotations are kept byte for byte."""

    metadata: PodMetadata
    hostname: str = ""
    log_directory: str = ""
    dns: DNSConfig | None = None
    port_mappings: tuple[PortMapping, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    cgroup_parent: str = ""
    security: SandboxSecurity = SandboxSecurity()
    sysctls: Mapping[str, str] = field(default_factory=dict)
    overhead: Resources | None = None
    resources: Resources | None = None

    @property
    def namespaces(self) -> NamespaceOptions:
        """The namespace options, which most readers want alone."""
        return self.security.namespaces

    @property
    def user_namespace(self) -> UserNamespace | None:
        """The pod's user namespace, if it has one of its own."""
        userns = self.namespaces.userns
        return userns if userns is not None and userns.mode is NamespaceMode.POD else None
