"""What containers need, on nothing: an OCI runtime, root file systems and images, with the rules of the drivers."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from msgspec import Struct

from crishim.core.errors import NotFoundError
from crishim.drivers.infra.dressing import InfraProcess
from crishim.model.container import Container
from crishim.model.image import ImageRoot
from crishim.model.process import ExecResult, Exit, Started
from crishim.model.sandbox import IdMap
from crishim.testing.failures import Failures
from crishim.testing.mounts import FakeMounts


class FakeMaking(Struct, frozen=True):
    """A container that is being made."""

    runtime: FakeRuntime
    container: Container

    async def make(self, spec: Mapping[str, Any]) -> Started:
        """Make it."""
        return self.runtime.create(self.container, spec)


class FakeRuntime:
    """``made`` holds the specification of each container that exists, ``signals`` every signal in order.

    A container ends when it is killed, when it gets a signal in ``deadly``, or when a test calls ``finish``.
    ``on_create`` is called once, when the next container has been made. ``hold_start`` and ``hold_delete``, when set,
    hold back starts and deletions.
    """

    def __init__(self, files: FakeMounts) -> None:
        """``files`` is where the bundles are."""
        self._files = files
        self.failures = Failures()
        self.made: dict[str, Mapping[str, Any]] = {}
        self.started: set[str] = set()
        self.signals: list[tuple[str, int]] = []
        self.deadly = {15}
        self.on_create: Callable[[], None] | None = None
        self.hold_start: asyncio.Event | None = None
        self.hold_delete: asyncio.Event | None = None
        self.updates: list[tuple[str, Mapping[str, Any]]] = []
        self._ends: dict[str, asyncio.Future[Exit]] = {}
        self._pids = itertools.count(1000)

    def expect(self) -> None:
        """There is nothing to wait for."""

    @asynccontextmanager
    async def making(self, container: Container, bundle: Path) -> AsyncIterator[FakeMaking]:
        """Make a container; as with the real one, a failure leaves nothing but the bundle."""
        await self._files.make_dir(str(bundle), 0o700)
        try:
            yield FakeMaking(self, container)
        except BaseException:
            self.made.pop(container.id, None)
            raise

    def create(self, container: Container, spec: Mapping[str, Any]) -> Started:
        """Make a container at once."""
        self.made[container.id] = spec
        self._ends[container.id] = asyncio.get_running_loop().create_future()
        if on_create := self.on_create:
            self.on_create = None
            on_create()
        self.failures.strike("create")
        return Started(pid=next(self._pids), pid_start=1)

    async def run(self, container: Container, bundle: Path, spec: Mapping[str, Any]) -> Started:
        """Make a container that runs."""
        made = self.create(container, spec)
        await self.start(container)
        return made

    async def start_infra(self, container: Container, bundle: Path, wanted: InfraProcess) -> Started:
        """Make a container that runs and has no specification."""
        made = self.create(container, {})
        self.started.add(container.id)
        return made

    async def start(self, container: Container) -> int:
        """Let it run."""
        self.failures.strike("start")
        if self.hold_start is not None:
            await self.hold_start.wait()
        self.started.add(container.id)
        return 7

    async def started_at(self, container: Container) -> int:
        """Some time if ``start`` did its work."""
        self.failures.strike("started_at")
        return 7 if container.id in self.started else 0

    def is_there(self, container: Container) -> bool:
        """Whether it has not ended."""
        end = self._ends.get(container.id)
        return end is not None and not end.done()

    async def signal(self, container: Container, signal: int) -> None:
        """Send a signal."""
        self.failures.strike("signal")
        self.signals.append((container.id, signal))
        if signal in self.deadly:
            self.finish(container.id, 128 + signal)

    async def kill_all(self, container: Container) -> None:
        """Kill it."""
        self.failures.strike("kill_all")
        self.finish(container.id, 137)

    def finish(self, container_id: str, exit_code: int, *, oom_killed: bool = False) -> None:
        """Let a container end."""
        end = self._ends[container_id]
        if not end.done():
            started_at = 7 if container_id in self.started else 0
            end.set_result(Exit(exit_code, finished_at=1, started_at=started_at, oom_killed=oom_killed))

    async def wait(self, container: Container) -> Exit:
        """Wait for the end."""
        return await asyncio.shield(self._ends[container.id])

    async def ended(self, container: Container) -> Exit | None:
        """How it ended, if it did."""
        self.failures.strike("ended")
        end = self._ends.get(container.id)
        return end.result() if end and end.done() else None

    async def delete(self, container_id: str) -> None:
        """Forget a container; one that is not there is fine."""
        self.failures.strike("delete")
        if self.hold_delete is not None:
            await self.hold_delete.wait()
        self.made.pop(container_id, None)

    async def update(self, container: Container, resources: Mapping[str, Any]) -> None:
        """Remember new resources; meanwhile others have their turn."""
        self.failures.strike("update")
        await asyncio.sleep(0)
        self.updates.append((container.id, resources))

    async def exec_sync(self, container: Container, process: Mapping[str, Any], seconds: float | None) -> ExecResult:
        """Answer with the command itself."""
        self.failures.strike("exec_sync")
        return ExecResult(" ".join(process["args"]).encode(), b"", 0)

    async def checkpoint_obstacle(self) -> str:
        """There is none such."""
        return "criu is not installed"

    async def reopen_log(self, container: Container) -> None:
        """Nothing is open."""
        self.failures.strike("reopen_log")


class FakeRootfs:
    """What each root was given: ``mounted`` holds its layers, ``labels`` its SELinux label, and ``at_files``."""

    def __init__(self, files: FakeMounts) -> None:
        self.failures, self._files = Failures(), files
        self.mounted: dict[str, tuple[str, ...]] = {}
        self.labels: dict[str, str] = {}
        self.at_files: dict[str, tuple[str, ...]] = {}

    async def mount(
        self, container_id: str, layers: Sequence[str], ids: IdMap | None, label: str, at_files: Sequence[str]
    ) -> str:
        """Mount a root."""
        self.mounted[container_id], self.labels[container_id] = tuple(layers), label
        self.at_files[container_id] = tuple(at_files)
        self.failures.strike("mount")
        return f"/roots/{container_id}"

    async def remove(self, container_id: str, *trees: str) -> None:
        """Remove it."""
        self.failures.strike("remove")
        self.mounted.pop(container_id, None)
        await self._files.remove_trees(*trees)


class FakeImages:
    """``roots`` holds the images by name, ``held`` those of each container, ``written`` whose would outlive a crash."""

    def __init__(self, *roots: ImageRoot) -> None:
        self.failures = Failures()
        self.roots = {name: root for root in roots for name in (root.image_id, root.reference)}
        self.held: dict[str, set[str]] = {}
        self.written: set[str] = set()

    async def root(self, reference: str) -> ImageRoot:
        """An image by its id or reference."""
        self.failures.strike("root")
        if reference not in self.roots:
            raise NotFoundError(f"image {reference} does not exist")
        return self.roots[reference]

    async def hold(self, image_id: str, container_id: str) -> ImageRoot:
        """Keep an image, with those that are kept already."""
        self.failures.strike("hold")
        self.held.setdefault(container_id, set()).add(image_id)
        return await self.root(image_id)

    async def write_hold(self, container_id: str) -> None:
        """Let it outlive a crash."""
        self.failures.strike("write_hold")
        self.written.add(container_id)

    async def release(self, container_id: str) -> None:
        """Give them back."""
        self.failures.strike("release")
        self.held.pop(container_id, None)
        self.written.discard(container_id)

    def holders(self) -> list[str]:
        """Who keeps something."""
        return list(self.held)
