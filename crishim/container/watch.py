"""Notice the end of every container, and record it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

from crishim.container.index import ContainerIndex
from crishim.container.ports import OciRuntime
from crishim.core.errors import FailedPreconditionError
from crishim.core.faultpoints import ContainerFaultPoint, reach
from crishim.core.tasks import TaskOwner
from crishim.core.trying import survive, until_done
from crishim.model.container import Container, Event, State
from crishim.model.process import Exit

_RETRY_SECONDS = 1.0  # for what is lacking, disk or descriptors, to be there again
_PATIENCE = 5.0

OnChange = Callable[[Container, Event], None]


class Watch:
    """One task per living container, which records its end and then deletes what the OCI runtime has of it.

    Whoever waits for an end waits for both.
    """

    def __init__(
        self,
        index: ContainerIndex,
        runtime: OciRuntime,
        owner: TaskOwner,
        on_change: OnChange,
        *,
        patience: float = _PATIENCE,
    ) -> None:
        """``patience`` is for ``while_it_lives``, in seconds."""
        self._index, self._runtime, self._owner, self._on_change = index, runtime, owner, on_change
        self._patience = patience
        self._ends: dict[str, asyncio.Task[None]] = {}
        self._living: set[str] = set()
        self._asked: set[str] = set()

    def begin(self, container: Container) -> None:
        """Watch a container that was made, now or by an earlier server."""
        task = self._owner.spawn(f"watch {container.id}", self._watch(container))
        self._ends[container.id] = task
        self._living.add(container.id)
        task.add_done_callback(lambda _: self._forget(container.id))

    def lives(self, container_id: str) -> bool:
        """Whether a container that is watched has yet to end, whatever is recorded of it."""
        return container_id in self._living

    async def ask(self, container: Container, signal: int) -> None:
        """Send a container its stop signal, unless it was sent: many programs take a second one for "at once"."""
        if container.id in self._asked:
            return
        self._asked.add(container.id)
        try:
            await self._runtime.signal(container, signal)
        except Exception:
            self._asked.discard(container.id)
            raise

    async def end(self, container_id: str, seconds: float | None = None) -> bool:
        """Wait until the end of a container is recorded and it was deleted; False when ``seconds`` pass first."""
        task = self._ends.get(container_id)
        if task is None:
            return True
        done, _ = await asyncio.wait([task], timeout=seconds)
        return bool(done)

    @asynccontextmanager
    async def while_it_lives(self, container_id: str) -> AsyncIterator[None]:
        """Cut off what is done inside when it goes on some seconds after the container has ended and was deleted.

        Raises FailedPreconditionError then.
        """
        try:
            async with asyncio.timeout(None) as limit, AsyncExitStack() as inside:

                def cut_off(_: object) -> None:
                    limit.reschedule(asyncio.get_running_loop().time() + self._patience)

                if over := self._ends.get(container_id):
                    over.add_done_callback(cut_off)
                    inside.callback(over.remove_done_callback, cut_off)
                yield
        except TimeoutError as error:
            raise FailedPreconditionError(f"container {container_id} has ended") from error

    def _forget(self, container_id: str) -> None:
        self._ends.pop(container_id, None)
        self._living.discard(container_id)
        self._asked.discard(container_id)

    async def _watch(self, container: Container) -> None:
        see_end = partial(self._see_end, container)
        await until_done(see_end, _RETRY_SECONDS, "container.watch_failed", container=container.id)
        # Removal tries again, and reports.
        await survive(self._runtime.delete(container.id), "container.delete_failed", container=container.id)

    async def _see_end(self, container: Container) -> None:
        ended = await self._runtime.wait(container)
        self._living.discard(container.id)
        await self.record(container.id, ended)

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
