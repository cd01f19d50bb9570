"""The rpc that tells of events as they happen."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from crishim.model.event import PodEvent
from crishim.rpc.convert.container_status import container_status
from crishim.rpc.convert.sandbox import sandbox_status
from crishim.rpc.pb import api_pb2 as pb
from crishim.rpc.ports import EventService
from crishim.rpc.registry import Handlers


class EventHandlers:
    """Events of containers and sandboxes."""

    def __init__(self, events: EventService) -> None:
        self._events = events

    def handlers(self) -> Handlers:
        """The rpcs handled here."""
        return {"GetContainerEvents": self.read}

    async def read(self, request: pb.GetEventsRequest) -> AsyncGenerator[pb.ContainerEventResponse, None]:
        """Every event from now on."""
        async for event in self._events.read():
            yield event_message(event)


def event_message(event: PodEvent) -> pb.ContainerEventResponse:
    """One event with the pod as it was then."""
    return pb.ContainerEventResponse(
        container_id=event.container_id,
        container_event_type=pb.ContainerEventType.Name(event.type),
        created_at=event.created_at,
        pod_sandbox_status=sandbox_status(event.sandbox) if event.sandbox else None,
        containers_statuses=map(container_status, event.containers),
    )
