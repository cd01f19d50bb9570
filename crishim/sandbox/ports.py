"""What the sandbox domain needs of the rest of the program, as Protocols."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol

from cni_runtime.conf.types import NetworkList
from cni_runtime.runtime import Added, Attachment, Step
from crishim.model.attachment import AttachmentRecord
from crishim.model.event import EventType
from crishim.model.files import FileTree
from crishim.model.sandbox import NamespacePaths, NamespaceSpec, Sandbox

BeforePlugin = Callable[[int, str], Awaitable[None]]


class Records(Protocol):
    """Durable storage; every call is one transaction."""

    async def put(self, *records: Sandbox | AttachmentRecord, without: Sequence[AttachmentRecord] = ()) -> None:
        """Write or replace records and forget the attachments ``without``, all or none."""
        ...

    async def delete_sandbox(self, sandbox_id: str) -> None:
        """Forget a sandbox, which has no attachments any more."""
        ...


class Namespaces(Protocol):
    """Linux namespaces pinned to files."""

    async def create(self, spec: NamespaceSpec) -> int:
        """Make and pin the namespaces that ``spec`` has a path for; returns the inode of the network namespace."""
        ...

    async def write_sysctls(self, paths: NamespacePaths, sysctls: Mapping[str, str]) -> None:
        """Write kernel parameters inside namespaces made before."""
        ...

    async def remove(self, paths: NamespacePaths) -> None:
        """Unpin them; what is not there is as good as removed."""
        ...

    def inode(self, path: str) -> int | None:
        """The inode of the namespace pinned at ``path``, None when there is none. Takes microseconds."""
        ...


class Mounts(Protocol):
    """Files, directories and mounts of a sandbox."""

    async def make_tree(self, tree: FileTree) -> None:
        """Make directories and files; each file is there whole or not at all."""
        ...

    async def unmount(self, path: str) -> None:
        """Unmount whatever is mounted at ``path``, if anything is."""
        ...

    async def remove_trees(self, *paths: str) -> None:
        """Unmount all below each of ``paths`` and remove it."""
        ...


class Cni(Protocol):
    """The CNI runtime."""

    async def add(self, network: NetworkList, attachment: Attachment, *, before: BeforePlugin) -> Added:
        """Run ADD through the chain; when it fails, undo it. Raises CniError, RollbackError when the undo failed."""
        ...

    async def delete(
        self, network: NetworkList, attachment: Attachment, *, before: BeforePlugin, begun: int
    ) -> Sequence[Step]:
        """Run DEL through the first ``begun`` plugins of the chain, backwards."""
        ...

    async def delete_cached(self, container_id: str) -> None:
        """Run DEL for all that the results cache knows of a sandbox. Raises CniError."""
        ...


class Containers(Protocol):
    """The containers that live in sandboxes."""

    def expect(self) -> None:
        """A sandbox is being made, so a container is likely to follow: begin what that would wait for. Never fails."""
        ...

    async def stop_all(self, sandbox_id: str) -> None:
        """Bring every container of a sandbox to its end; raises an ExceptionGroup of what failed."""
        ...

    async def remove_all(self, sandbox_id: str) -> None:
        """Remove every container of a sandbox; raises an ExceptionGroup of what failed."""
        ...


OnEvent = Callable[[Sandbox, EventType], None]
"""Told what happened to a sandbox, right after it is recorded."""


class NetworkSource(Protocol):
    """The network configuration in force."""

    def current(self, runtime_handler: str) -> tuple[NetworkList, ...]:
        """The networks a new pod gets, the default one first; raises UnavailableError saying why there are none."""
        ...
