"""The files of a sandbox: /etc/hostname, /etc/hosts, /etc/resolv.conf and /dev/shm."""

from __future__ import annotations

from pathlib import Path

import anyio

from crishim.core.errors import UnavailableError
from crishim.model.pod import DNSConfig, NamespaceMode, PodConfig
from crishim.sandbox.layout import Layout, SandboxPaths
from crishim.sandbox.ports import Mounts

HOST_RESOLV_CONF = Path("/etc/resolv.conf")
HOST_HOSTS = Path("/etc/hosts")


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
        paths, mounts = self._layout.paths(sandbox_id), self._mounts
        await mounts.make_dir(str(paths.kept), 0o711)
        await mounts.make_dir(str(paths.volatile), 0o711)
        dns = resolv_conf(config.dns) if config.dns else await _read(HOST_RESOLV_CONF)
        await mounts.write_file(str(paths.resolv_conf), dns, 0o644)
        await mounts.write_file(str(paths.hostname), f"{hostname}\n".encode(), 0o644)
        await mounts.write_file(str(paths.hosts), await _read(HOST_HOSTS), 0o644)
        if config.namespaces.ipc is not NamespaceMode.NODE:
            await mounts.make_dir(str(paths.shm), 0o711)
            await mounts.mount_shm(str(paths.shm))
        if config.user_namespace:
            await self._give(paths, *config.user_namespace.on_node(0, 0))

    async def _give(self, paths: SandboxPaths, uid: int, gid: int) -> None:
        """Give what containers see to root of the pod's user namespace, who could not write to it otherwise."""
        for path in (paths.resolv_conf, paths.hostname, paths.hosts, paths.shm):
            await self._mounts.give(str(path), uid, gid)

    async def unmount(self, sandbox_id: str) -> None:
        """Give back the memory of /dev/shm; the files stay."""
        await self._mounts.unmount(str(self._layout.paths(sandbox_id).shm))

    async def remove(self, sandbox_id: str) -> None:
        """Remove every file of a sandbox."""
        paths = self._layout.paths(sandbox_id)
        await self._mounts.remove_tree(str(paths.volatile))
        await self._mounts.remove_tree(str(paths.kept))


async def _read(path: Path) -> bytes:
    try:
        return await anyio.Path(path).read_bytes()
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise UnavailableError(f"cannot read {path} for the pod: {error.strerror}") from error
