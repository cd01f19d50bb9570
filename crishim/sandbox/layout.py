"""Where everything of a sandbox lies on disk: pure functions of its id."""

from __future__ import annotations

import uuid
from functools import cached_property
from pathlib import Path

from msgspec import Struct

from crishim.model.pod import NamespaceMode, PodConfig
from crishim.model.sandbox import NamespacePaths

NETNS_DIR = Path("/run/netns")

# Any fixed value serves: it only makes the name of a sandbox's network namespace a function of the sandbox's
# id, so that a namespace can be found again even when the database is lost.
_NETNS_NAMES = uuid.UUID("5f3f1f0e-7f86-4c39-9c39-0e8d8c1b6a52")


class SandboxPaths(Struct, frozen=True):
    """The directories of one sandbox: ``kept`` outlives a reboot, ``volatile`` does not."""

    kept: Path
    volatile: Path

    @property
    def shm(self) -> Path:
        """The tmpfs that is the pod's /dev/shm."""
        return self.volatile / "shm"

    @property
    def hostname(self) -> Path:
        """The pod's /etc/hostname."""
        return self.kept / "hostname"

    @property
    def hosts(self) -> Path:
        """The pod's /etc/hosts."""
        return self.kept / "hosts"

    @property
    def resolv_conf(self) -> Path:
        """The pod's /etc/resolv.conf."""
        return self.kept / "resolv.conf"


class Layout(Struct, frozen=True, dict=True):
    """The server's directories, and from them a sandbox's."""

    root: Path
    state: Path
    netns_dir: Path = NETNS_DIR

    @cached_property
    def kept_sandboxes(self) -> Path:
        """Holds one directory per sandbox, kept over a reboot."""
        return self.root / "sandboxes"

    @cached_property
    def volatile_sandboxes(self) -> Path:
        """Holds one directory per sandbox, forgotten by a reboot."""
        return self.state / "sandboxes"

    def paths(self, sandbox_id: str) -> SandboxPaths:
        """The directories of one sandbox."""
        return SandboxPaths(self.kept_sandboxes / sandbox_id, self.volatile_sandboxes / sandbox_id)

    def netns(self, sandbox_id: str) -> str:
        """Where the network namespace of a sandbox is pinned; the name is one ``ip netns`` accepts."""
        return str(self.netns_dir / f"cni-{uuid.uuid5(_NETNS_NAMES, sandbox_id)}")

    def namespaces(self, sandbox_id: str, config: PodConfig) -> NamespacePaths:
        """Where the pod's own namespaces are to be pinned. A pod on the node's network has the node's uts too."""
        options, volatile = config.namespaces, self.paths(sandbox_id).volatile
        own_network = options.network is not NamespaceMode.NODE
        return NamespacePaths(
            net=self.netns(sandbox_id) if own_network else None,
            ipc=str(volatile / "ipc") if options.ipc is not NamespaceMode.NODE else None,
            uts=str(volatile / "uts") if own_network else None,
            user=str(volatile / "user") if config.user_namespace else None,
        )

    def all_namespaces(self, sandbox_id: str) -> NamespacePaths:
        """Every place where a namespace of this sandbox could be pinned, for when its record is lost."""
        volatile = self.paths(sandbox_id).volatile
        ipc, uts, user = (str(volatile / name) for name in ("ipc", "uts", "user"))
        return NamespacePaths(net=self.netns(sandbox_id), ipc=ipc, uts=uts, user=user)
