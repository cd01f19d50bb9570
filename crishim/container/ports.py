"""What the container domain needs of the rest of the program, as Protocols."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, Protocol

from crishim.drivers.cdi import ContainerEdits
from crishim.drivers.cgroups.stats import GroupStats
from crishim.drivers.descriptors import Descriptors
from crishim.drivers.devices import DeviceNode
from crishim.drivers.host_facts import HostFacts
from crishim.drivers.infra.dressing import InfraProcess
from crishim.drivers.propagation import Propagation
from crishim.drivers.usage import DiskUsage, InterfaceUsage
from crishim.model.container import Container
from crishim.model.image import ImageRoot
from crishim.model.process import ExecResult, Exit, Started
from crishim.model.sandbox import IdMap, Sandbox


class Records(Protocol):
    """Durable storage of containers; every call is one transaction."""

    async def put_container(self, container: Container) -> None:
        """Write or replace one record."""
        ...

    async def delete_container(self, container_id: str) -> None:
        """Forget a container."""
        ...


class Images(Protocol):
    """The images of the node."""

    async def root(self, reference: str) -> ImageRoot:
        """Layers and configuration of an image by any of its names or its id; raises NotFoundError."""
        ...

    async def hold(self, image_id: str, container_id: str) -> ImageRoot:
        """As ``root``; its layers are kept, with those that are kept already, until ``release``. Idempotent.

        A crash ends that too, before ``write_hold``.
        """
        ...

    async def write_hold(self, container_id: str) -> None:
        """Let what ``hold`` kept outlive a crash."""
        ...

    async def release(self, container_id: str) -> None:
        """Give back what ``hold`` kept; idempotent."""
        ...

    def holders(self) -> Collection[str]:
        """The containers that layers are kept for, be it that nothing else of them is known."""
        ...


class Rootfs(Protocol):
    """Root file systems of containers."""

    async def mount(
        self, container_id: str, layers: Sequence[str], ids: IdMap | None, label: str, at_files: Sequence[str]
    ) -> str:
        """Mount an overlay of a new writable layer over ``layers``, with the ids of a user namespace if there is one.

        ``label`` is its SELinux label, empty for none; ``at_files`` is what ``mounted_at_files`` tells of the
        container. Returns the path of the root.
        """
        ...

    async def remove(self, container_id: str, *trees: str) -> None:
        """Unmount and remove the writable layer, and ``trees`` as ``Files.remove_trees`` does; idempotent."""
        ...


class Making(Protocol):
    """A container that is being made."""

    async def make(self, spec: Mapping[str, Any]) -> Started:
        """Write ``spec`` into the bundle and make the container, stopped before its first instruction."""
        ...


class OciRuntime(Protocol):
    """Containers under an OCI runtime, each watched by a monitor that outlives this server."""

    def expect(self) -> None:
        """A container is likely to be made soon: begin what that would wait for. Never fails."""
        ...

    def making(self, container: Container, bundle: Path) -> AbstractAsyncContextManager[Making]:
        """Begin to make a container with what takes a while and needs no configuration; inside, it is to be made.

        Left with an error, nothing is left of it but the bundle.
        """
        ...

    async def run(self, container: Container, bundle: Path, spec: Mapping[str, Any]) -> Started:
        """Write ``spec`` into ``bundle`` and make a container that runs and has no monitor: nobody hears what it says
        or how it ends."""
        ...

    async def start_infra(self, container: Container, bundle: Path, wanted: InfraProcess) -> Started:
        """As ``run``, but without an OCI runtime: the process that holds a pod's PID namespace."""
        ...

    async def start(self, container: Container) -> int:
        """Let the container run; when that was begun, nanoseconds since the epoch."""
        ...

    async def started_at(self, container: Container) -> int:
        """When a container was let run, nanoseconds since the epoch, be it that it has ended since; 0 if it was not.

        For after a crash in ``start``.
        """
        ...

    def is_there(self, container: Container) -> bool:
        """Whether the id of the container's first process has been its own until now."""
        ...

    async def signal(self, container: Container, signal: int) -> None:
        """Send a signal to the init process, through a pidfd that was checked against ``pid_start``."""
        ...

    async def kill_all(self, container: Container) -> None:
        """Send SIGKILL to every process of the container."""
        ...

    async def wait(self, container: Container) -> Exit:
        """Wait for the end, also of one that ended while this server was down. Never polls."""
        ...

    async def ended(self, container: Container) -> Exit | None:
        """How the container ended; None while it lives."""
        ...

    async def delete(self, container_id: str) -> None:
        """Remove all that the runtime and the monitor keep of a container that has ended; idempotent."""
        ...

    async def update(self, container: Container, resources: Mapping[str, Any]) -> None:
        """Change the resources of a container that is made or runs, to an OCI ``linux.resources`` object."""
        ...

    async def exec_sync(self, container: Container, process: Mapping[str, Any], seconds: float | None) -> ExecResult:
        """Run an OCI ``process`` in the container. Raises DeadlineError when ``seconds`` pass; nothing of it
        is left then."""
        ...

    async def checkpoint_obstacle(self) -> str:
        """Why no container can be checkpointed."""
        ...

    async def reopen_log(self, container: Container) -> None:
        """Make the monitor open its log file anew."""
        ...


class Files(Protocol):
    """Files and directories of containers."""

    async def make_dir(self, path: str, mode: int) -> None:
        """Make a directory and its parents."""
        ...

    async def give(self, path: str, uid: int, gid: int) -> None:
        """Change the owner of a file or directory."""
        ...

    async def remove_trees(self, *paths: str) -> None:
        """Unmount all below each of ``paths`` and remove it; idempotent."""
        ...


class Node(Protocol):
    """What a container gets of the node's files and devices."""

    async def read_in_root(self, root: str, *paths: str) -> tuple[str, ...]:
        """The texts of files below ``root``, links resolved inside it; empty where there is none."""
        ...

    async def read_file(self, path: str) -> bytes:
        """A file of the node; raises OSError."""
        ...

    def read_state(self, path: Path) -> bytes:
        """A file of the server's own that a reboot may forget, so it is in memory; raises OSError."""
        ...

    def hostname(self) -> str:
        """The node's name now."""
        ...

    async def refreshed(self, facts: HostFacts) -> HostFacts:
        """``facts`` with what changes while the server runs: the node's devices and its AppArmor profiles."""
        ...

    async def knows_label(self, label: str) -> bool:
        """Whether the node's SELinux policy has this label."""
        ...

    async def relabel(self, path: str, label: str) -> None:
        """Give ``path`` and all below it an SELinux label; raises InvalidArgumentError for one the node needs."""
        ...

    async def make_missing_dirs(self, *paths: str) -> None:
        """Make directories unless something is there."""
        ...

    async def fill_volume(self, root: str, path: str, target: str, owner: tuple[int, int] | None) -> None:
        """Make the directory ``target``, with what the image whose root is mounted at ``root`` has at ``path``.

        It is of ``owner`` unless the image has it already.
        """
        ...

    async def mount_image(self, target: str, layers: Sequence[str], ids: IdMap | None, label: str) -> None:
        """Mount layers, topmost first, read-only at the directory ``target``, which is made; the rest as for a root."""
        ...

    async def path_in_root(self, root: str, path: str) -> str:
        """Where ``path`` of the image mounted at ``root`` really is; raises InvalidArgumentError when it is not."""
        ...

    async def propagations_of(self, *paths: str) -> dict[str, Propagation]:
        """How mounts propagate at each path of the node."""
        ...

    async def stat_device(self, path: str) -> tuple[DeviceNode, ...]:
        """The device at ``path``, or those below it; raises InvalidArgumentError when there is none."""
        ...

    async def cdi_edits(self, names: Iterable[str]) -> tuple[ContainerEdits, ...]:
        """What CDI says of devices by qualified name; raises InvalidArgumentError for unknown ones."""
        ...


class Usage(Protocol):
    """What containers and pods use; groups and interfaces that have gone meanwhile are left out."""

    async def groups(self, containers: Sequence[Container], sandboxes: Sequence[Sandbox]) -> dict[str, GroupStats]:
        """Control groups by id."""
        ...

    async def disk(self, container: Container) -> DiskUsage:
        """What a container can write to on the disk; each on its own, as one may take minutes."""
        ...

    async def interfaces(self, sandboxes: Sequence[Sandbox]) -> dict[str, tuple[InterfaceUsage, ...]]:
        """Network interfaces by sandbox id."""
        ...

    async def descriptors(self, containers: Sequence[Container]) -> dict[str, Descriptors]:
        """What the processes of containers have open, by id. Takes some microseconds for each descriptor."""
        ...


class Pods(Protocol):
    """The sandboxes containers live in."""

    def get(self, sandbox_id: str) -> Sandbox:
        """The sandbox with this id or unique beginning of one; raises NotFoundError."""
        ...
