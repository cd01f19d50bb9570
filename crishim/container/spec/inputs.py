"""Everything the OCI configuration of a container is made of, gathered before it is made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from crishim.drivers.cdi import ContainerEdits
from crishim.drivers.devices import DeviceNode
from crishim.drivers.host_facts import HostFacts
from crishim.model.container import Container, ContainerConfig
from crishim.model.sandbox import Sandbox

__all__ = ["OCI_VERSION", "HostFacts", "Json", "PodFiles", "SpecInputs", "User"]

Json = dict[str, Any]

OCI_VERSION = "1.0.2"
"""What every OCI runtime in use accepts; newer versions are refused by some."""


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


class SpecInputs(Struct, frozen=True, kw_only=True):
    """The parts of one container's OCI configuration.

    ``image_config`` is the ``config`` object of the OCI image, ``rootfs`` where its root is mounted.
    ``hostname`` is the name of the node.
    ``image_mounts`` maps the container path of a mount that asks for an image to the directory to be seen there: the
    sub path, resolved inside the image. ``volumes`` maps the paths of the image's anonymous volumes to directories.
    ``devices`` maps the host path of each device asked for to what ``stat_device`` found there.
    ``pid_namespace`` is the path of the namespace to join: the pod's or a target container's.
    ``seccomp_profile`` is the profile of a node's file, loaded and checked. ``annotations`` are those that the
    runtime handler passes on. ``all_devices_allowed``: a privileged container may use devices it was not given.
    ``device_ownership``: devices get the user and group of the security context.
    """

    container: Container
    sandbox: Sandbox
    image_config: Mapping[str, Any]
    rootfs: str
    files: PodFiles
    user: User
    host: HostFacts
    hostname: str
    image_mounts: Mapping[str, str] = {}
    volumes: Mapping[str, str] = {}
    devices: Mapping[str, tuple[DeviceNode, ...]] = {}
    pid_namespace: str | None = None
    seccomp_profile: Mapping[str, Any] | None = None
    cdi_edits: tuple[ContainerEdits, ...] = ()
    privileged_without_host_devices: bool = False
    all_devices_allowed: bool = False
    device_ownership: bool = False
    annotations: Mapping[str, str] = {}

    @property
    def config(self) -> ContainerConfig:
        """What was asked for."""
        return self.container.config
