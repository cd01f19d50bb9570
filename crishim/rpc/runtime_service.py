"""All handlers of ``runtime.v1.RuntimeService``. A new group of rpcs is a module in ``handlers`` and a line here."""

from __future__ import annotations

from crishim.rpc.handlers.containers import ContainerHandlers
from crishim.rpc.handlers.events import EventHandlers
from crishim.rpc.handlers.node import NodeHandlers
from crishim.rpc.handlers.sandboxes import SandboxHandlers
from crishim.rpc.handlers.stats import StatsHandlers
from crishim.rpc.handlers.streams import StreamHandlers
from crishim.rpc.ports import (
    ContainerService,
    EventService,
    NodeService,
    SandboxService,
    StatsService,
    StreamService,
)
from crishim.rpc.registry import Handlers, combine


def runtime_service(
    node: NodeService,
    sandboxes: SandboxService,
    containers: ContainerService,
    stats: StatsService,
    events: EventService,
    streams: StreamService,
) -> Handlers:
    """The rpcs that are built."""
    return combine(
        NodeHandlers(node).handlers(),
        SandboxHandlers(sandboxes).handlers(),
        ContainerHandlers(containers).handlers(),
        StatsHandlers(stats, containers, sandboxes).handlers(),
        EventHandlers(events).handlers(),
        StreamHandlers(streams).handlers(),
    )
