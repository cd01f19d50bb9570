"""RemoveContainer: stop it if need be, undo all it has, then forget it. Also the undo of a creation that failed."""

from __future__ import annotations

import asyncio

from crishim.container.index import ContainerIndex
from crishim.container.layout import ContainerLayout
from crishim.container.ports import Files, Images, OciRuntime, Rootfs
from crishim.container.stop import stop
from crishim.container.watch import OnChange, Watch
from crishim.core.faultpoints import ContainerFaultPoint, reach
from crishim.model.container import Container, Event, State


class RemoveContainer:
    """Removes containers. Every step is idempotent, so a removal that failed is simply run again."""

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

    async def remove(self, container_id: str) -> None:
        """Remove a container whatever its state; one that is gone is fine."""
        container = self._index.find(container_id)
        if container is None:
            return
        await stop(self._watch, self._runtime, container, grace=0)
        if self._index.get(container_id).state is not State.CREATING:
            await self._index.advance(container_id, Event.REMOVE)
        reach(ContainerFaultPoint.REMOVE_RECORDED)
        await self._release(container)
        removed = self._index.get(container_id)
        await self._index.drop(container_id)
        reach(ContainerFaultPoint.REMOVE_DONE)
        if removed.state is not State.CREATING:
            self._on_change(removed, Event.REMOVE)

    async def _release(self, container: Container) -> None:
        if not container.infra:
            await self.release(container.id, container.runtime_handler)
            return
        await self._watch.end(container.id)
        await self._runtime.delete(container.id, container.runtime_handler)
        await self._files.remove_trees(str(self._layout.bundle(container.id)))  # all it has

    async def release(self, container_id: str, handler: str) -> None:
        """Undo all that a container may have, whether or not there is a record of it; it has ended, or is killed."""
        await self._watch.end(container_id)  # its own deletion may be under way
        await self._runtime.delete(container_id, handler)
        reach(ContainerFaultPoint.REMOVE_DELETED)
        await self._rootfs.remove(container_id)
        trees = str(self._layout.bundle(container_id)), str(self._layout.kept / container_id)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._files.remove_trees(*trees))
            group.create_task(self._images.release(container_id))
        reach(ContainerFaultPoint.REMOVE_FILES)
