"""Notice the end of every container, and record it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from crishim.container.index import ContainerIndex
from crishim.container.ports import OciRuntime
from crishim.core.errors import explain
from crishim.core.faultpoints import ContainerFaultPoint, reach
from crishim.core.tasks import TaskOwner
from crishim.model.container import Container, Event, State
from crishim.model.process import Exit

_log = structlog.get_logger()

OnChange = Callable[[Container, Event], None]


class Watch:
    """One task per living container. Whoever waits for an end waits for that task, and sees it recorded."""

    def __init__(self, index: ContainerIndex, runtime: OciRuntime, owner: TaskOwner, on_change: OnChange) -> None:
        self._index, self._runtime, self._owner, self._on_change = index, runtime, owner, on_change
        self._ends: dict[str, asyncio.Task[None]] = {}

    def begin(self, container: Container) -> None:
        """Watch a container that was made, now or by an earlier server."""
        task = self._owner.spawn(f"watch {container.id}", self._watch(container))
        self._ends[container.id] = task
        task.add_done_callback(lambda _: self._ends.pop(container.id, None))

    async def end(self, container_id: str, seconds: float | None = None) -> bool:
        """Wait until the end of a container is recorded; False when ``seconds`` pass first."""
        task = self._ends.get(container_id)
        if task is None:
            return True
        done, _ = await asyncio.wait([task], timeout=seconds)
        return bool(done)

    async def _watch(self, container: Container) -> None:
        ended = await self._runtime.wait(container)
        await self.record(container.id, ended)
        try:
            await self._runtime.delete(container.id)
        except Exception as error:  # removal tries again, and reports
            _log.warning("container.delete_failed", container=container.id, error=explain(error))

    async def record(self, container_id: str, ended: Exit) -> None:
        """Write down how a container ended, unless that is known or the container is being removed."""
        exited = await self._index.advance_from(
            (State.CREATED, State.RUNNING),
            container_id,
            Event.EXITED,
            exit_code=ended.exit_code,
            started_at=ended.started_at,  # the end may be known before the start is
            finished_at=ended.finished_at,
            reason=reason_of(ended),
        )
        if exited is not None:
            reach(ContainerFaultPoint.STOPPED)
            self._on_change(exited, Event.EXITED)


def reason_of(ended: Exit) -> str:
    """The reason that kubelet shows for an end."""
    if ended.oom_killed:
        return "OOMKilled"
    return "Completed" if ended.exit_code == 0 else "Error"
