"""The container verbs behind one object, for whoever serves them and for the sandbox they live in."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any

import structlog

from crishim.container.create import CreateContainer
from crishim.container.exec import Exec
from crishim.container.index import ContainerIndex
from crishim.container.ports import OciRuntime, Pods
from crishim.container.remove import RemoveContainer
from crishim.container.spec.inputs import HostFacts
from crishim.container.start import start
from crishim.container.stop import KILL_SECONDS, stop
from crishim.container.update import UpdateContainer
from crishim.container.watch import OnChange, Watch
from crishim.core.errors import NotFoundError, UnimplementedError, explain
from crishim.core.tasks import InFlight
from crishim.model.container import Container, ContainerConfig, ContainerFilter, State
from crishim.model.pod import Resources
from crishim.model.process import ExecResult

_log = structlog.get_logger()


class Containers:
    """All that changes containers, and their list."""

    def __init__(
        self,
        index: ContainerIndex,
        pods: Pods,
        create: CreateContainer,
        remove: RemoveContainer,
        runtime: OciRuntime,
        watch: Watch,
        in_flight: InFlight,
        on_change: OnChange,
        execute: Exec,
        hosts: Mapping[str, HostFacts],
    ) -> None:
        self._index, self._pods, self._create, self._remove, self._runtime = index, pods, create, remove, runtime
        self._execute, self._update = execute, UpdateContainer(index, runtime, hosts)
        self._watch, self._in_flight, self._on_change = watch, in_flight, on_change

    def expect(self) -> None:
        """See ``OciRuntime.expect``."""
        self._runtime.expect()

    async def create(self, sandbox_id: str, config: ContainerConfig, *, privileged_pod: bool = False) -> str:
        """See ``CreateContainer.create``."""
        return await self._create.create(sandbox_id, config, privileged_pod=privileged_pod)

    async def start(self, container_id: str) -> None:
        """See ``start``; raises NotFoundError."""
        container = self._index.resolve(container_id)

        def run() -> Coroutine[Any, Any, None]:
            return start(self._index, self._runtime, self._pods, self._watch, container, self._on_change)

        await self._owned("start", container, run)

    async def stop(self, container_id: str, grace: float) -> None:
        """Bring a container to its end within ``grace`` seconds; an unknown one is as good as stopped."""
        if container := self._known(container_id):
            await stop(self._watch, self._runtime, container, grace)

    async def remove(self, container_id: str) -> None:
        """Stop a container if need be and forget it; an unknown one is as good as removed."""
        if container := self._known(container_id):
            await self._owned("remove", container, lambda: self._remove.remove(container.id))
        else:
            await self._remove.remove(container_id)

    async def stop_all(self, sandbox_id: str) -> None:
        """Bring every container of a sandbox to its end at once; raises an ExceptionGroup of what failed."""
        await self._each(sandbox_id, self._end)

    async def remove_all(self, sandbox_id: str) -> None:
        """Remove every container of a sandbox; raises an ExceptionGroup of what failed."""
        await self._each(sandbox_id, lambda container: self._remove.remove(container.id))

    async def update(self, container_id: str, wanted: Resources) -> None:
        """See ``UpdateContainer.update``."""
        await self._update.update(container_id, wanted)

    async def exec_sync(self, container_id: str, command: Sequence[str], seconds: float | None) -> ExecResult:
        """See ``Exec.sync``."""
        return await self._execute.sync(container_id, command, seconds)

    async def checkpoint(self, container_id: str) -> None:
        """Always raises UnimplementedError, with the reason; NotFoundError for an unknown container."""
        self._index.resolve(container_id)
        raise UnimplementedError(f"CheckpointContainer: {await self._runtime.checkpoint_obstacle()}")

    async def reopen_log(self, container_id: str) -> None:
        """Write to a new log file from now on; raises FailedPreconditionError unless the container runs."""
        await self._runtime.reopen_log(self._execute.running(container_id))

    def info(self, container: Container) -> dict[str, Any]:
        """The verbose status as plain values."""
        return {
            "sandboxID": container.sandbox_id,
            "pid": container.pid if container.state is State.RUNNING else 0,
            "runtimeHandler": container.runtime_handler,
            "state": container.state.value,
            "removing": container.state is State.REMOVING,
            "imageID": container.image_ref,
            "runtimeSpec": self._execute.spec(container),
        }

    def get(self, container_id: str) -> Container:
        """The container with this id or unique beginning of one; raises NotFoundError."""
        return self._index.resolve(container_id)

    def list(self, wanted: ContainerFilter) -> list[Container]:
        """The containers that match, newest first."""
        return self._index.matching(wanted)

    def _known(self, container_id: str) -> Container | None:
        try:
            return self._index.resolve(container_id)
        except NotFoundError:
            return None

    async def _owned(self, verb: str, container: Container, act: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Once begun the work is the server's own: a caller that goes away does not leave it half done."""
        await self._in_flight.run(f"{verb} {container.id}", act)

    async def _end(self, container: Container) -> None:
        if container.state is State.CREATING:
            return  # whoever makes it finds its sandbox stopped
        if container.infra:  # nobody will ask about it
            await self._remove.remove(container.id)
            return
        await stop(self._watch, self._runtime, container, grace=0)
        await self._clear(container)

    async def _clear(self, container: Container) -> None:
        """Try again what an earlier deletion may have left: processes that nothing ends with the first one."""
        try:
            async with asyncio.timeout(KILL_SECONDS):
                await self._remove.delete(container.id)
        except Exception as error:  # removal tries again, and reports
            _log.warning("container.delete_failed", container=container.id, error=explain(error))

    async def _each(self, sandbox_id: str, act: Callable[[Container], Coroutine[Any, Any, None]]) -> None:
        containers = self._index.of_sandbox(sandbox_id)
        outcome = await asyncio.gather(*map(act, containers), return_exceptions=True)
        errors = [error for error in outcome if isinstance(error, Exception)]
        if errors:
            raise ExceptionGroup(f"containers of sandbox {sandbox_id}", errors)
