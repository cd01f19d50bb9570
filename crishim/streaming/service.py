"""What callers of the CRI get: a URL for a stream they ask for."""

from __future__ import annotations

from msgspec.structs import replace

from crishim.core.errors import FailedPreconditionError
from crishim.model import container, sandbox
from crishim.model.stream import AttachStream, ExecStream, PortForwardStream
from crishim.streaming.ports import Containers, Sandboxes
from crishim.streaming.tokens import TokenStore


class Streams:
    """Makes URLs below ``base_url``, each for one stream of a container that runs or a sandbox that is ready."""

    def __init__(self, base_url: str, tokens: TokenStore, containers: Containers, sandboxes: Sandboxes) -> None:
        self._base_url, self._tokens = base_url, tokens
        self._containers, self._sandboxes = containers, sandboxes

    def exec(self, request: ExecStream) -> str:
        """A URL for running a command. Raises NotFoundError, FailedPreconditionError, TooManyTokensError."""
        container_id = self._running(request.container_id)
        return self._url("exec", self._tokens.make(replace(request, container_id=container_id)))

    def attach(self, request: AttachStream) -> str:
        """A URL for attaching to a container; raises as ``exec``."""
        container_id = self._running(request.container_id)
        return self._url("attach", self._tokens.make(replace(request, container_id=container_id)))

    def port_forward(self, request: PortForwardStream) -> str:
        """A URL for connections to ports of a sandbox; raises as ``exec``."""
        found = ready_sandbox(self._sandboxes, request.sandbox_id)
        return self._url("portforward", self._tokens.make(replace(request, sandbox_id=found.id)))

    def _running(self, container_id: str) -> str:
        found = self._containers.get(container_id)
        if found.state is not container.State.RUNNING:
            raise FailedPreconditionError(f"container {found.id} is not running but {found.state}")
        return found.id

    def _url(self, verb: str, token: str) -> str:
        return f"{self._base_url}/{verb}/{token}"


def ready_sandbox(sandboxes: Sandboxes, sandbox_id: str) -> sandbox.Sandbox:
    """The sandbox with this id; raises NotFoundError, and FailedPreconditionError when it is not ready."""
    found = sandboxes.get(sandbox_id)
    if found.state is not sandbox.State.READY:
        raise FailedPreconditionError(f"sandbox {found.id} is not ready but {found.state}")
    return found
