"""A whole sandbox domain on fakes, composed as the server composes it on drivers."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from cni_runtime.conf.parse import parse_network_list
from cni_runtime.conf.types import ConfDir
from crishim.core.config.types import RuntimeHandler
from crishim.core.tasks import InFlight, TaskOwner
from crishim.drivers.cgroups import CgroupDriver
from crishim.model.event import EventType
from crishim.model.pod import PodConfig, PodMetadata
from crishim.model.sandbox import Sandbox
from crishim.recovery import Recovery
from crishim.sandbox.files import SandboxFiles
from crishim.sandbox.index import SandboxIndex
from crishim.sandbox.layout import Layout
from crishim.sandbox.network import NetworkPolicy, PodNetwork
from crishim.sandbox.networks import ConfiguredNetworks
from crishim.sandbox.run import RunSandbox
from crishim.sandbox.service import Sandboxes
from crishim.sandbox.sysctls import unprivileged_network
from crishim.sandbox.teardown import Teardown
from crishim.testing.cni import FakeCni, FixedDirectory
from crishim.testing.failures import Failures
from crishim.testing.mounts import FakeMounts
from crishim.testing.namespaces import FakeNamespaces
from crishim.testing.store import MemoryStore

NETWORK = parse_network_list(
    b'{"cniVersion":"1.0.0","name":"pods","plugins":[{"type":"bridge"},{"type":"portmap"}]}', "10-pods.conflist"
)


def example_pod(name: str = "web", **more: object) -> PodConfig:
    """A pod configuration that says only what a test is about."""
    return PodConfig(PodMetadata(name, "u1", "shop"), **more)  # type: ignore[arg-type]


class FakeContainers:
    """``of`` holds the names of the containers in each sandbox, ``stopped`` those of them that have ended."""

    def __init__(self) -> None:
        self.failures = Failures()
        self.of: dict[str, set[str]] = {}
        self.stopped: set[str] = set()
        self.expected = 0

    def expect(self) -> None:
        """Count how often one was."""
        self.expected += 1

    async def stop_all(self, sandbox_id: str) -> None:
        """End them."""
        self.failures.strike("stop_all")
        self.stopped |= self.of.get(sandbox_id, set())

    async def remove_all(self, sandbox_id: str) -> None:
        """Forget them."""
        self.failures.strike("remove_all")
        self.of.pop(sandbox_id, None)


class World:
    """The machine as the fakes have it, and the sandbox domain on top; ``restart`` plays a new server on it."""

    def __init__(self, owner: TaskOwner) -> None:
        self.store, self.cni = MemoryStore(), FakeCni()
        self.namespaces, self.mounts = FakeNamespaces(), FakeMounts()
        self.directory = FixedDirectory(ConfDir(Path("/etc/cni/net.d"), (NETWORK,)))
        self.containers = FakeContainers()
        self.events: list[tuple[str, EventType]] = []
        self.ended_plugins_of: set[str] = set()
        self._owner = owner
        self._compose()

    def _compose(self) -> None:
        layout = Layout(Path("/var/lib/crishim"), Path("/run/crishim"))
        self.index = SandboxIndex(self.store)
        source = ConfiguredNetworks(self.directory, {})
        network = PodNetwork(self.index, self.cni, source, self.namespaces, NetworkPolicy(timeout=5))
        files = SandboxFiles(layout, self.mounts)
        teardown = Teardown(self.index, self.containers, network, self.namespaces, files, self._on_event)
        in_flight = InFlight(self._owner)
        driver = CgroupDriver.CGROUPFS
        run = RunSandbox(
            self.index,
            layout,
            files,
            self.namespaces,
            network,
            self.containers,
            teardown,
            in_flight,
            driver,
            self._on_event,
            unprivileged_network(ports=True, icmp=True),
        )
        handlers = {"crun": RuntimeHandler(), "old": RuntimeHandler()}
        unable = {"old": "it has none"}
        self.sandboxes = Sandboxes(self.index, run, teardown, in_flight, handlers, "crun", unable)
        self.recovery = Recovery(self.index, layout, teardown, self.namespaces, self.mounts, self._end_plugins)

    def _on_event(self, sandbox: Sandbox, kind: EventType) -> None:
        self.events.append((sandbox.id, kind))

    async def _end_plugins(self, sandbox_ids: Collection[str]) -> None:
        self.ended_plugins_of = set(sandbox_ids)

    async def restart(self, seconds: float = 10) -> None:
        """A new server on what the old one left; ``seconds`` is how long it may take to put that right."""
        self._compose()
        self.index.load(await self.store.load_sandboxes(), await self.store.load_attachments())
        await self.recovery.reconcile(seconds)

    async def leavings(self) -> list[object]:
        """Everything of any sandbox that is still there."""
        rows = [*await self.store.load_sandboxes(), *await self.store.load_attachments()]
        return [*rows, *self.cni.attached, *self.namespaces.pins, *self.mounts.mounts, *self.mounts.files]
