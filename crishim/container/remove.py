"""RemoveContainer: stop it if need be, undo all it has, then forget it. Also the undo of a creation that failed."""

from __future__ import annotations

from crishim.container.index import ContainerIndex
from crishim.container.layout import ContainerLayout
from crishim.container.ports import Files, Images, OciRuntime, Rootfs
from crishim.container.stop import stop
from crishim.container.watch import OnChange, Watch
from crishim.core.faultpoints import ContainerFaultPoint, reach
from crishim.core.tasks import KeyedLock, both
from crishim.model.container import Container, Event, State


class RemoveContainer:
    """Removes containers, each of them once. Every step is idempotent: a removal that failed is simply run again."""

    def __init__(
        self,
        index: ContainerIndex,
        layout: ContainerLayout,
        runtime: OciRuntime,
        rootfs: Rootfs,
        images: Images,
        files: Files,
        watch: Watch,
        on_change: OnChange,
    ) -> None:
        self._index, self._layout, self._runtime, self._rootfs = index, layout, runtime, rootfs
        self._images, self._files, self._watch, self._on_change = images, files, watch, on_change
        self._turns = KeyedLock()

    async def remove(self, container_id: str) -> None:
        """Remove a container whatever its state; one that is gone, or goes meanwhile, is fine."""
        async with self._turns.hold(container_id):
            if container := self._index.find(container_id):
                await self._remove(container)
            else:
                await self._images.release(container_id)  # at which an earlier removal may have failed

    async def undo(self, container: Container) -> None:
        """As ``remove``, for a creation that failed, maybe before there was a record of it, or while it was removed."""
        if self._watch.lives(container.id):
            await self._runtime.kill_all(container)
        await self.remove(container.id)
        await self.release(container.id)

    async def _remove(self, container: Container) -> None:
        await stop(self._watch, self._runtime, container, grace=0)
        await both(self._record(container.id), self._release(container))
        removed = self._index.get(container.id)
        await self._forget(container)
        reach(ContainerFaultPoint.REMOVE_DONE)
        if removed.state is not State.CREATING:
            self._on_change(removed, Event.REMOVE)

    async def _record(self, container_id: str) -> None:
        """After a crash before this is written the container has ended, and is there to be removed again."""
        if self._index.get(container_id).state is not State.CREATING:
            await self._index.advance(container_id, Event.REMOVE)
        reach(ContainerFaultPoint.REMOVE_RECORDED)

    async def _release(self, container: Container) -> None:
        if not container.infra:
            await self.release(container.id)
            return
        await self.delete(container.id)
        await self._files.remove_trees(self._bundle(container.id))  # all it has

    async def _forget(self, container: Container) -> None:
        """After a crash in the middle of this, recovery gives the image back."""
        if container.infra:
            await self._index.drop(container.id)
        else:
            await both(self._index.drop(container.id), self._images.release(container.id))

    async def release(self, container_id: str) -> None:
        """Undo what the node has of a container, whether or not there is a record of it; it has ended, or is killed."""
        await self.delete(container_id)
        reach(ContainerFaultPoint.REMOVE_DELETED)
        await self._rootfs.remove(container_id, self._bundle(container_id))
        reach(ContainerFaultPoint.REMOVE_FILES)

    async def delete(self, container_id: str) -> None:
        """Remove what the OCI runtime has of a container that has ended; where nothing is left this costs nothing."""
        await self._watch.end(container_id)  # its own deletion may be under way
        await self._runtime.delete(container_id)

    def _bundle(self, container_id: str) -> str:
        return str(self._layout.bundle(container_id))
