"""UpdateContainerResources: new limits for a container that is made or runs."""

from __future__ import annotations

from collections.abc import Mapping

from cni_runtime.tasks import finish
from crishim.container.handlers import of_handler
from crishim.container.index import ContainerIndex
from crishim.container.ports import OciRuntime
from crishim.container.spec.inputs import HostFacts
from crishim.container.spec.resources import check_resources, linux_resources, updated
from crishim.core.errors import FailedPreconditionError
from crishim.core.tasks import KeyedLock
from crishim.model.container import Container, State
from crishim.model.pod import Resources


class UpdateContainer:
    """Updates of one container take turns: each sets out from all the resources there are, and writes all of them."""

    def __init__(self, index: ContainerIndex, runtime: OciRuntime, hosts: Mapping[str, HostFacts]) -> None:
        self._index, self._runtime, self._hosts = index, runtime, hosts
        self._turns = KeyedLock()

    async def update(self, container_id: str, wanted: Resources) -> None:
        """Change the resources that ``wanted`` sets; those it leaves at 0 stay as they are.

        Raises NotFoundError, InvalidArgumentError naming the field, FailedPreconditionError for a container that ended,
        UnavailableError for one whose runtime handler is not configured any more.
        """
        container_id = self._index.resolve(container_id).id
        async with self._turns.hold(container_id):
            # A caller that goes away must not part what the container has from what is recorded.
            await finish(self._update(self._index.get(container_id), wanted))

    async def _update(self, container: Container, wanted: Resources) -> None:
        if container.state not in (State.CREATED, State.RUNNING):
            raise FailedPreconditionError(f"container {container.id} is {container.state}; its resources are gone")
        host = of_handler(self._hosts, container.runtime_handler)
        resources = updated(container.resources, wanted)
        check_resources(resources, host, "linux")
        await self._runtime.update(container, linux_resources(resources, host, container.resources))
        await self._index.change(container.id, resources=resources)
