"""The sandbox verbs behind one object, for whoever serves them."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from msgspec.structs import replace

from crishim.core.config import RuntimeHandler
from crishim.core.errors import NotFoundError
from crishim.core.tasks import InFlight
from crishim.model.pod import PodConfig, Resources
from crishim.model.sandbox import Sandbox, SandboxFilter
from crishim.sandbox.index import SandboxIndex
from crishim.sandbox.info import sandbox_info
from crishim.sandbox.run import RunSandbox
from crishim.sandbox.teardown import Teardown
from crishim.sandbox.user_namespace import check_ability
from crishim.sandbox.validate import check_handler


class Sandboxes:
    """All that can be asked of pod sandboxes."""

    def __init__(
        self,
        index: SandboxIndex,
        run: RunSandbox,
        teardown: Teardown,
        in_flight: InFlight,
        handlers: Mapping[str, RuntimeHandler],
        default_handler: str,
        without_user_namespaces: Mapping[str, str],
    ) -> None:
        """``without_user_namespaces`` says by handler why its pods cannot have a user namespace of their own."""
        self._index, self._run, self._teardown, self._in_flight = index, run, teardown, in_flight
        self._handlers, self._default_handler = handlers, default_handler
        self._without_user_namespaces = without_user_namespaces

    async def run(self, config: PodConfig, runtime_handler: str) -> str:
        """See ``RunSandbox.run``; also raises InvalidArgumentError for a handler that is not configured or unable."""
        check_handler(runtime_handler, self._handlers)
        check_ability(config, runtime_handler or self._default_handler, self._without_user_namespaces)
        return await self._run.run(config, runtime_handler)

    async def stop(self, sandbox_id: str) -> None:
        """Bring a sandbox down but keep it listed; an unknown one is as good as stopped."""
        await self._finish("stop", sandbox_id, self._teardown.stop)

    async def remove(self, sandbox_id: str) -> None:
        """Stop a sandbox if need be and forget it; an unknown one is as good as removed."""
        await self._finish("remove", sandbox_id, self._teardown.remove)

    async def update_resources(self, sandbox_id: str, overhead: Resources | None, resources: Resources | None) -> None:
        """Note a pod's new resources; its control group is kubelet's, which has changed it already."""
        sandbox = self._index.resolve(sandbox_id)
        config = replace(sandbox.config, overhead=overhead, resources=resources)
        await self._index.change(sandbox.id, config=config)

    def get(self, sandbox_id: str) -> Sandbox:
        """The sandbox with this id or unique beginning of one; raises NotFoundError."""
        return self._index.resolve(sandbox_id)

    def list(self, wanted: SandboxFilter) -> list[Sandbox]:
        """The sandboxes that match, newest first."""
        return self._index.matching(wanted)

    def info(self, sandbox: Sandbox) -> dict[str, Any]:
        """The verbose status as plain values."""
        handler = self._handlers.get(sandbox.runtime_handler or self._default_handler)
        runtime_type = handler.runtime_type if handler else ""
        return sandbox_info(sandbox, self._index.attachments(sandbox.id), runtime_type)

    async def _finish(self, verb: str, sandbox_id: str, act: Callable[[str], Coroutine[Any, Any, None]]) -> None:
        """Once begun the work is the server's own: a caller that goes away does not leave it half done."""
        try:
            found = self._index.resolve(sandbox_id).id
        except NotFoundError:
            return
        await self._in_flight.run(f"{verb} {found}", lambda: act(found))
