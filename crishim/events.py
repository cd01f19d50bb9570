"""Events of containers and sandboxes, for whoever reads them at the moment.

A reader gets every event that happens while it reads, in order. One that falls ``BACKLOG`` events behind is ended with
an error instead of being given a stream with holes: kubelet then lists everything and reads anew.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable

from crishim.core.clock import now_ns
from crishim.core.errors import ResourceExhaustedError
from crishim.model.container import Container
from crishim.model.container import Event as ContainerEvent
from crishim.model.event import EventType, PodEvent
from crishim.model.sandbox import Sandbox

BACKLOG = 1000

_OF_CONTAINER = {
    ContainerEvent.MADE: EventType.CREATED,
    ContainerEvent.START: EventType.STARTED,
    ContainerEvent.EXITED: EventType.STOPPED,
    ContainerEvent.REMOVE: EventType.DELETED,
}

FindSandbox = Callable[[str], Sandbox | None]
Successor = Callable[[Sandbox], Sandbox | None]
ContainersOf = Callable[[str], list[Container]]


class Events:
    """Tells every reader what happens."""

    def __init__(self, find_sandbox: FindSandbox, successor: Successor) -> None:
        """``successor`` is the sandbox that a pod has by now, if it is not the one given."""
        self._find_sandbox, self._successor = find_sandbox, successor
        # The ones that CRI may see. Set when they are there: they are told of here, and so are built later.
        self.containers_of: ContainersOf = lambda sandbox_id: []
        self._readers: set[asyncio.Queue[PodEvent | None]] = set()

    def on_container(self, container: Container, event: ContainerEvent) -> None:
        """Tell of a container; the server's own ones are nobody's business."""
        if not container.infra:
            sandbox = self._find_sandbox(container.sandbox_id)
            self._publish(container.id, _OF_CONTAINER[event], container.sandbox_id, sandbox)

    def on_sandbox(self, sandbox: Sandbox, kind: EventType) -> None:
        """Tell of a sandbox, as it is given: kubelet passes over what does not say which pod it is about.

        The removal of one whose pod has another by now shows that one: kubelet forgets the pods of sandboxes that show
        their own removal, and would start such a pod anew.
        """
        shown = (self._successor(sandbox) if kind is EventType.DELETED else None) or sandbox
        self._publish(sandbox.id, kind, shown.id, shown)

    async def read(self) -> AsyncGenerator[PodEvent, None]:
        """Events from now on, without end. Raises ResourceExhaustedError for a reader that is too slow."""
        queue: asyncio.Queue[PodEvent | None] = asyncio.Queue()
        self._readers.add(queue)
        try:
            while (event := await queue.get()) is not None:
                yield event
            raise ResourceExhaustedError(f"events: the reader fell more than {BACKLOG} events behind")
        finally:
            self._readers.discard(queue)

    def _publish(self, container_id: str, kind: EventType, sandbox_id: str, sandbox: Sandbox | None) -> None:
        if not self._readers:
            return
        event = PodEvent(container_id, kind, now_ns(), sandbox, tuple(self.containers_of(sandbox_id)))
        for queue in list(self._readers):
            if queue.qsize() < BACKLOG:
                queue.put_nowait(event)
            else:
                self._readers.discard(queue)
                queue.put_nowait(None)
