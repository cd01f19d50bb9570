"""The files of a sandbox: /etc/hostname, /etc/hosts, /etc/resolv.conf and /dev/shm."""

from __future__ import annotations

from crishim.model.files import FileTree
from crishim.model.pod import DNSConfig, NamespaceMode, PodConfig
from crishim.sandbox.layout import Layout, SandboxPaths
from crishim.sandbox.ports import Mounts

HOST_RESOLV_CONF = "/etc/resolv.conf"
HOST_HOSTS = "/etc/hosts"


def resolv_conf(dns: DNSConfig) -> bytes:
    """Content of resolv.conf (resolv.conf(5)) for ``dns``."""
    lines = [f"nameserver {server}" for server in dns.servers]
    if dns.searches:
        lines.insert(0, f"search {' '.join(dns.searches)}")
    if dns.options:
        lines.append(f"options {' '.join(dns.options)}")
    return "".join(f"{line}\n" for line in lines).encode()


class SandboxFiles:
    """Makes and removes the directories of a sandbox and all that is in them."""

    def __init__(self, layout: Layout, mounts: Mounts) -> None:
        self._layout, self._mounts = layout, mounts

    async def create(self, sandbox_id: str, config: PodConfig, hostname: str) -> None:
        """Make all files of a sandbox. They are found again by the id alone, so any later step may fail."""
        await self._mounts.make_tree(file_tree(self._layout.paths(sandbox_id), config, hostname))

    async def unmount(self, sandbox_id: str) -> None:
        """Give back the memory of /dev/shm; the files stay."""
        await self._mounts.unmount(str(self._layout.paths(sandbox_id).shm))

    async def remove(self, sandbox_id: str) -> None:
        """Remove every file of a sandbox."""
        paths = self._layout.paths(sandbox_id)
        await self._mounts.remove_trees(str(paths.volatile), str(paths.kept))


def file_tree(paths: SandboxPaths, config: PodConfig, hostname: str) -> FileTree:
    """All files of a sandbox. Root of the pod's user namespace gets what its containers see, and may write to it."""
    files, copies = {str(paths.hostname): f"{hostname}\n".encode()}, {str(paths.hosts): HOST_HOSTS}
    if content := resolv_conf(config.dns) if config.dns else b"":
        files[str(paths.resolv_conf)] = content
    else:
        copies[str(paths.resolv_conf)] = HOST_RESOLV_CONF
    own_ipc = config.namespaces.ipc is not NamespaceMode.NODE
    directories = (paths.kept, paths.volatile, *((paths.shm,) if own_ipc else ()))
    return FileTree(
        directories=tuple(map(str, directories)),
        files=files,
        copies=copies,
        shm=str(paths.shm) if own_ipc else None,
        userns=config.user_namespace,
    )
