"""ExecSync: run a command in a container and wait for it. Also what the streaming exec starts from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from crishim.container.index import ContainerIndex
from crishim.container.layout import ContainerLayout
from crishim.container.ports import Node, OciRuntime
from crishim.container.spec.process import exec_process
from crishim.core.errors import FailedPreconditionError, UnavailableError
from crishim.model.container import Container, State
from crishim.model.process import ExecResult


class Exec:
    """Runs commands in containers, each as the user and with the rights of the container's own process."""

    def __init__(self, index: ContainerIndex, layout: ContainerLayout, node: Node, runtime: OciRuntime) -> None:
        self._index, self._layout, self._node, self._runtime = index, layout, node, runtime

    async def sync(self, container_id: str, command: Sequence[str], seconds: float | None) -> ExecResult:
        """Run ``command`` to its end. Raises DeadlineError when ``seconds`` pass first; nothing of it is left then."""
        container = self.running(container_id)
        process = self.process(container, command, tty=False)
        return await self._runtime.exec_sync(container, process, seconds)

    def running(self, container_id: str) -> Container:
        """The container, which must be running; raises NotFoundError, FailedPreconditionError."""
        container = self._index.resolve(container_id)
        if container.state is not State.RUNNING:
            raise FailedPreconditionError(f"container {container.id} is {container.state}, not running")
        return container

    def process(self, container: Container, command: Sequence[str], *, tty: bool) -> dict[str, Any]:
        """The OCI process for ``command`` in ``container``; raises InvalidArgumentError for an empty command."""
        spec = self.spec(container)
        if spec is None:
            raise UnavailableError(f"container {container.id}: its OCI configuration cannot be read")
        return exec_process(spec["process"], command, tty=tty)

    def spec(self, container: Container) -> dict[str, Any] | None:
        """The OCI configuration of a container, None once it is gone."""
        try:
            return dict(msgspec.json.decode(self._node.read_state(self._layout.bundle(container.id) / "config.json")))
        except (OSError, msgspec.DecodeError):
            return None
