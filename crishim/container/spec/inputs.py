"""Everything the OCI configuration of a container is made of, gathered before it is made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from crishim.drivers.cgroups import CgroupMode
from crishim.model.container import Container
from crishim.model.sandbox import Sandbox


class User(Struct, frozen=True):
    """Whom a container's process runs as, by number; ``home`` is for the HOME variable."""

    uid: int = 0
    gid: int = 0
    additional_gids: tuple[int, ...] = ()
    home: str = "/"


class PodFiles(Struct, frozen=True):
    """The pod's files on the node that every container of it sees."""

    hostname: str
    hosts: str
    resolv_conf: str
    shm: str


class HostFacts(Struct, frozen=True, kw_only=True):
    """What the node can do. ``capabilities`` are those of the server's bounding set, as ``CAP_`` names.

    ``oom_score_adj_min`` is the lowest value the server may set, ``devices`` the node's devices for privileged
    containers as (path, kind, major, minor).
    """

    cgroup_mode: CgroupMode
    systemd_cgroup: bool = False
    capabilities: frozenset[str] = frozenset()
    apparmor: bool = False
    selinux: bool = False
    seccomp: bool = True
    recursive_read_only: bool = False
    id_mapped_mounts: bool = False
    oom_score_adj_min: int = -1000
    devices: tuple[tuple[str, str, int, int], ...] = ()


class SpecInputs(Struct, frozen=True, kw_only=True):
    """The parts of one container's OCI configuration.

    ``image_config`` is the ``config`` object of the OCI image, ``rootfs`` where its root is mounted.
    ``image_mounts`` maps the container path of a mount that asks for an image to a directory with its content.
    ``pid_namespace`` is the path of the namespace to join: the pod's or a target container's.
    ``seccomp_profile`` is the loaded profile, None for unconfined. ``cdi_edits`` are containerEdits objects.
    """

    container: Container
    sandbox: Sandbox
    image_config: Mapping[str, Any]
    rootfs: str
    files: PodFiles
    user: User
    host: HostFacts
    image_mounts: Mapping[str, str] = {}
    pid_namespace: str | None = None
    seccomp_profile: Mapping[str, Any] | None = None
    cdi_edits: tuple[Mapping[str, Any], ...] = ()
    privileged_without_host_devices: bool = False
    annotations: Mapping[str, str] = {}
