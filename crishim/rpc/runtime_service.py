"""All handlers of ``runtime.v1.RuntimeService``. A new group of rpcs is a module in ``handlers`` and a line here."""

from __future__ import annotations

from crishim.rpc.handlers.node import NodeHandlers
from crishim.rpc.handlers.sandboxes import SandboxHandlers
from crishim.rpc.ports import NodeService, SandboxService
from crishim.rpc.registry import Handlers, combine


def runtime_service(node: NodeService, sandboxes: SandboxService) -> Handlers:
    """The rpcs that are built."""
    return combine(NodeHandlers(node).handlers(), SandboxHandlers(sandboxes).handlers())
