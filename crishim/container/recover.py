"""Start-up: make the records of containers true again, and watch those that live.

record says        and                       then
CREATING           -                         undo, forget
CREATED, RUNNING   another boot              it has ended; how, nobody knows
CREATED            its start was begun       finish it, or ask the OCI runtime: it runs, or can be started; watch it
CREATED, RUNNING   otherwise                 watch it; one that ended meanwhile is recorded at once
EXITED             -                         remove what the OCI runtime may still have of it
REMOVING           -                         remove
(no record)        a bundle or a root        remove what it has
(no record)        layers kept for it        give them back
"""

from __future__ import annotations

import structlog

from crishim.container.index import ContainerIndex
from crishim.container.layout import ContainerLayout
from crishim.container.ports import Images, OciRuntime
from crishim.container.remove import RemoveContainer
from crishim.container.start import fail_start
from crishim.container.watch import Watch
from crishim.core.clock import boot_id, now_ns
from crishim.core.directories import entries
from crishim.core.errors import CrishimError, explain
from crishim.core.trying import survive
from crishim.model.container import Container, Event, State
from crishim.model.process import UNKNOWN_EXIT_CODE

_log = structlog.get_logger()


class RecoverContainers:
    """Reconciles the containers, before the sandboxes."""

    def __init__(
        self,
        index: ContainerIndex,
        layout: ContainerLayout,
        runtime: OciRuntime,
        images: Images,
        remove: RemoveContainer,
        watch: Watch,
    ) -> None:
        self._index, self._layout, self._runtime, self._images = index, layout, runtime, images
        self._remove, self._watch = remove, watch

    async def reconcile(self) -> None:
        """Bring every container to a state that is true; nothing here is fatal."""
        for container in self._index.all():
            await survive(self._reconcile(container), "recovery.incomplete", object=f"container {container.id}")
        known = {container.id for container in self._index.all()}
        for container_id in sorted(entries(self._layout.bundles, self._layout.kept) - known):
            await survive(self._remove.release(container_id), "recovery.incomplete", object=f"container {container_id}")
            _log.warning("recovery.unknown_container_dropped", container=container_id)
        left = entries(self._layout.bundles, self._layout.kept)  # of what could not be removed its layers stay as well
        for container_id in sorted(set(self._images.holders()) - known - left):
            await survive(self._images.release(container_id), "recovery.incomplete", object=f"container {container_id}")

    async def _reconcile(self, container: Container) -> None:
        if container.state in (State.CREATING, State.REMOVING):
            await self._remove.remove(container.id)
        elif container.state in (State.CREATED, State.RUNNING):
            await self._find_out(container)
        else:
            await self._remove.delete(container.id)

    async def _find_out(self, container: Container) -> None:
        if container.boot_id != boot_id():
            await self._index.advance(
                container.id,
                Event.EXITED,
                exit_code=UNKNOWN_EXIT_CODE,
                finished_at=now_ns(),
                reason="Unknown",
                message="the node was rebooted",
            )
        else:
            try:
                if container.state is State.CREATED:
                    container = await self._settle_start(container)
                if ended := await self._runtime.ended(container):
                    await self._watch.record(container.id, ended)
            finally:
                self._watch.begin(container)  # which tries again what could not be done

    async def _settle_start(self, container: Container) -> Container:
        """The container as it is, a start of it may have been cut off; one that cannot be asked about is killed.

        ``started_at`` of one that was not started is what earlier versions recorded before a start.
        """
        try:
            if started_at := await self._runtime.started_at(container):
                return await self._index.advance(container.id, Event.START, started_at=started_at)
        except CrishimError as error:
            await fail_start(self._index, container.id, f"the server ended while it was starting; {explain(error)}")
            await self._runtime.kill_all(container)
            return container
        return await self._index.change(container.id, started_at=0) if container.started_at else container
