"""UpdateContainerResources: new limits for a container that is made or runs."""

from __future__ import annotations

from collections.abc import Mapping

from crishim.container.index import ContainerIndex
from crishim.container.ports import OciRuntime
from crishim.container.spec.inputs import HostFacts
from crishim.container.spec.resources import check_resources, linux_resources, updated
from crishim.core.errors import FailedPreconditionError
from crishim.model.container import State
from crishim.model.pod import Resources


async def update(
    index: ContainerIndex,
    runtime: OciRuntime,
    hosts: Mapping[str, HostFacts],
    container_id: str,
    wanted: Resources,
) -> None:
    """Change the resources that ``wanted`` sets; those it leaves at 0 stay as they are.

    Raises NotFoundError, InvalidArgumentError naming the field, FailedPreconditionError for a container that ended.
    """
    container = index.resolve(container_id)
    if container.state not in (State.CREATED, State.RUNNING):
        raise FailedPreconditionError(f"container {container.id} is {container.state}; its resources are gone")
    host = hosts[container.runtime_handler]
    check_resources(wanted, host, "linux")
    resources = updated(container.resources, wanted)
    await runtime.update(container, linux_resources(resources, host))
    await index.change(container.id, resources=resources)
