"""A whole container domain on fakes, composed as the server composes it on drivers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from crishim.container.create import CreateContainer
from crishim.container.exec import Exec
from crishim.container.index import ContainerIndex
from crishim.container.infra import Infra
from crishim.container.layout import ContainerLayout
from crishim.container.prepare import Handler, Prepare
from crishim.container.recover import RecoverContainers
from crishim.container.remove import RemoveContainer
from crishim.container.service import Containers
from crishim.container.spec.inputs import HostFacts, PodFiles
from crishim.container.watch import Watch
from crishim.core.clock import boot_id
from crishim.core.config import RuntimeHandler
from crishim.core.errors import NotFoundError
from crishim.core.tasks import InFlight, TaskOwner
from crishim.drivers.cdi import ContainerEdits
from crishim.drivers.cgroups import CgroupMode
from crishim.drivers.devices import DeviceNode
from crishim.drivers.propagation import Propagation
from crishim.model.container import Container, ContainerConfig, ContainerMetadata, ContainerSecurity, Event, ImageSpec
from crishim.model.image import ImageRoot
from crishim.model.pod import NamespaceMode, NamespaceOptions, PodConfig, PodMetadata
from crishim.model.sandbox import IdMap, Sandbox
from crishim.model.sandbox import State as SandboxState
from crishim.testing.containers import FakeImages, FakeRootfs, FakeRuntime
from crishim.testing.failures import Failures
from crishim.testing.mounts import FakeMounts
from crishim.testing.store import MemoryStore

BUSYBOX = ImageRoot("sha256:b0", "busybox:1", ("/layers/b",), {"Cmd": ["sh"], "User": "app"})
PASSWD = {"/etc/passwd": "root:x:0:0::/root:\napp:x:1000:1000::/home/app:\n"}


OWN_PID = ContainerSecurity(namespaces=NamespaceOptions(pid=NamespaceMode.CONTAINER))
POD_PID = ContainerSecurity(namespaces=NamespaceOptions(pid=NamespaceMode.POD))


def example_container(name: str = "main", **more: Any) -> ContainerConfig:
    """A container with a PID namespace of its own, as kubelet asks for; ``more`` is what a test is about."""
    return ContainerConfig(ContainerMetadata(name), ImageSpec("busybox:1"), **{"security": OWN_PID, **more})


class FakeNode:
    """A node with files from a dictionary; ``made``: directories that were made; ``labels``: those of SELinux, whose
    policy lacks ``unknown_types``.

    ``reads`` counts how often files of an image were asked for.
    """

    def __init__(self) -> None:
        self.failures = Failures()
        self.files = dict(PASSWD)
        self.reads = 0
        self.made: set[str] = set()
        self.labels: dict[str, str] = {}
        self.unknown_types: set[str] = set()
        self.apparmor_profiles: frozenset[str] = frozenset()
        self.name = "node"

    def hostname(self) -> str:
        """Its name."""
        return self.name

    async def refreshed(self, facts: HostFacts) -> HostFacts:
        """With the profiles that are loaded."""
        return replace(facts, apparmor_profiles=self.apparmor_profiles)

    async def knows_label(self, label: str) -> bool:
        """Whether its type is none of the unknown ones."""
        return label.split(":")[2] not in self.unknown_types

    async def relabel(self, path: str, label: str) -> None:
        """Remember it."""
        self.labels[path] = label

    async def read_in_root(self, root: str, *paths: str) -> tuple[str, ...]:
        """Files of an image."""
        self.failures.strike("read_in_root")
        self.reads += 1
        return tuple([self.files.get(path, "") for path in paths])

    async def read_file(self, path: str) -> bytes:
        """A file of the node."""
        return self._content(path)

    def read_state(self, path: Path) -> bytes:
        """A file of the server's own."""
        return self._content(str(path))

    async def make_missing_dirs(self, *paths: str) -> None:
        """Make directories."""
        self.made |= set(paths)

    async def fill_volume(self, root: str, path: str, target: str, owner: tuple[int, int] | None) -> None:
        """Make a directory."""
        self.made.add(target)

    async def mount_image(self, target: str, layers: Sequence[str], ids: IdMap | None, label: str) -> None:
        """Mount nothing."""
        self.made.add(target)
        self.labels[target] = label

    async def path_in_root(self, root: str, path: str) -> str:
        """Where it would be."""
        return f"{root}/{path}".rstrip("/")

    async def propagations_of(self, *paths: str) -> dict[str, Propagation]:
        """Everywhere."""
        return dict.fromkeys(paths, Propagation.SHARED)

    async def stat_device(self, path: str) -> tuple[DeviceNode, ...]:
        """A character device."""
        return (DeviceNode(path, "c", 1, 3),)

    async def cdi_edits(self, names: Iterable[str]) -> tuple[ContainerEdits, ...]:
        """None."""
        return ()

    def _content(self, path: str) -> bytes:
        if path not in self.files:
            raise FileNotFoundError(2, "No such file or directory", path)
        return self.files[path].encode()


class FakePods:
    """``sandboxes`` by id."""

    def __init__(self, *sandboxes: Sandbox) -> None:
        self.sandboxes = {sandbox.id: sandbox for sandbox in sandboxes}

    def stop(self, sandbox_id: str) -> None:
        """Stop one of them."""
        self.sandboxes[sandbox_id] = replace(self.sandboxes[sandbox_id], state=SandboxState.STOPPED)

    def get(self, sandbox_id: str) -> Sandbox:
        """One of them."""
        if sandbox_id not in self.sandboxes:
            raise NotFoundError(f"pod sandbox {sandbox_id} does not exist")
        return self.sandboxes[sandbox_id]


def example_sandbox(sandbox_id: str = "pod", state: SandboxState = SandboxState.READY) -> Sandbox:
    """A ready sandbox that logs to /var/log/pods/pod."""
    config = PodConfig(PodMetadata("web", "u1", "shop"), log_directory="/var/log/pods/pod")
    return Sandbox(id=sandbox_id, config=config, runtime_handler="", created_at=1, boot_id=boot_id(), state=state)


class ContainerWorld:
    """The machine as the fakes have it, and the container domain on top; ``restart`` plays a new server on it.

    ``host`` is what the next server finds that the node can do, ``directory`` where it finds what is on disk.
    """

    def __init__(self, owner: TaskOwner) -> None:
        self.store, self.images = MemoryStore(), FakeImages(BUSYBOX)
        self.node, self.files = FakeNode(), FakeMounts()
        self.rootfs, self.runtime = FakeRootfs(self.files), FakeRuntime(self.files)
        self.pods = FakePods(example_sandbox())
        self.host = HostFacts(cgroup_mode=CgroupMode.V2)
        self.told: list[tuple[str, Event]] = []
        self.directory = Path("/var/lib/crishim")
        self._owner = owner
        self._compose()

    def _compose(self) -> None:
        layout = ContainerLayout(self.directory, self.directory)
        handlers: Mapping[str, Handler] = {"": Handler(RuntimeHandler(), self.host)}
        hosts = {name: handler.host for name, handler in handlers.items()}
        in_flight = InFlight(self._owner)
        self.index = ContainerIndex(self.store, self._owner)
        self.watch = watch = Watch(self.index, self.runtime, self._owner, self._on_change, patience=0)
        remove = RemoveContainer(
            self.index, layout, self.runtime, self.rootfs, self.images, self.files, watch, self._on_change
        )
        infra = Infra(self.index, layout, self.pods, self.files, self.runtime, remove, watch, in_flight, hosts)
        prepare = Prepare(
            self.index, layout, handlers, _pod_files, self.images, self.node, infra, device_ownership=False
        )
        create = CreateContainer(
            self.index, layout, self.pods, self.images, self.rootfs, prepare, self.runtime, remove, watch, in_flight,
            self._on_change,
        )  # fmt: skip
        execute = Exec(self.index, layout, self.node, self.runtime)
        self.containers = Containers(
            self.index, self.pods, create, remove, self.runtime, watch, in_flight, self._on_change, execute, hosts
        )
        self.recovery = RecoverContainers(self.index, layout, self.runtime, self.images, remove, watch)

    async def run(self, name: str = "main", **more: Any) -> str:
        """Make and start a container."""
        container_id = await self.containers.create("pod", example_container(name, **more))
        await self.containers.start(container_id)
        return container_id

    async def restart(self) -> None:
        """A new server on what the old one left."""
        self._compose()
        self.index.load(await self.store.load_containers())
        await self.recovery.reconcile()

    async def leavings(self) -> list[object]:
        """Everything of any container that is still there."""
        rows: list[object] = list(await self.store.load_containers())
        return [*rows, *self.runtime.made, *self.rootfs.mounted, *self.images.held, *self.files.directories]

    def _on_change(self, container: Container, event: Event) -> None:
        self.told.append((container.id, event))


def _pod_files(sandbox_id: str) -> PodFiles:
    base = f"/var/lib/crishim/sandboxes/{sandbox_id}"
    return PodFiles(f"{base}/hostname", f"{base}/hosts", f"{base}/resolv.conf", f"/run/crishim/{sandbox_id}/shm")
