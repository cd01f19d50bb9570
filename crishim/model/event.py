"""What happened to a container or a sandbox, with the pod as it was right then.

Source: CRI v1 ``ContainerEventResponse`` (proto/runtime/v1/api.proto).
"""

from __future__ import annotations

from enum import IntEnum

from msgspec import Struct

from crishim.model.container import Container
from crishim.model.sandbox import Sandbox


class EventType(IntEnum):
    """CRI's four events; the numbers are CRI's."""

    CREATED = 0
    STARTED = 1
    STOPPED = 2
    DELETED = 3


class PodEvent(Struct, frozen=True):
    """One event. ``container_id`` is the sandbox's id for an event of the sandbox itself.

    ``created_at`` is in nanoseconds since the epoch; ``sandbox`` None when it is gone.
    """

    container_id: str
    type: EventType
    created_at: int
    sandbox: Sandbox | None
    containers: tuple[Container, ...]
