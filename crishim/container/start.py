"""StartContainer: let a container that was made run."""

from __future__ import annotations

from crishim.container.index import ContainerIndex
from crishim.container.pods import require_ready
from crishim.container.ports import OciRuntime, Pods
from crishim.container.watch import OnChange, Watch
from crishim.core.clock import now_ns
from crishim.core.errors import FailedPreconditionError, explain
from crishim.core.faultpoints import ContainerFaultPoint, reach
from crishim.model.container import Container, Event, State

START_ERROR_CODE = 128


async def start(
    index: ContainerIndex, runtime: OciRuntime, pods: Pods, watch: Watch, container: Container, on_change: OnChange
) -> None:
    """Start ``container``; raises FailedPreconditionError unless it is in CREATED, and its sandbox ready.

    The runtime keeps account of starts: after a crash here, recovery asks it.
    A container that cannot be started is EXITED with reason StartError, and the error goes to the caller. What there
    is of it is killed: it still waits, or even runs, if the runtime failed after it had let it.
    """
    if container.state is not State.CREATED:
        raise FailedPreconditionError(f"container {container.id} is {container.state}; only a created one can start")
    require_ready(pods, container.sandbox_id)
    try:
        # One that is killed meanwhile may keep its OCI runtime waiting for it to listen.
        async with watch.while_it_lives(container.id):
            started_at = await runtime.start(container)
    except Exception as error:
        try:
            failed = await fail_start(index, container.id, explain(error))
            if failed is not None:
                on_change(failed, Event.EXITED)
        finally:
            await runtime.kill_all(container)
        raise
    reach(ContainerFaultPoint.STARTED)
    started = await index.begin(container.id, started_at)
    if started is not None:  # else its end has been recorded already
        on_change(started, Event.START)


async def fail_start(index: ContainerIndex, container_id: str, why: str) -> Container | None:
    """Record that a container was never started; None when its end is known already."""
    return await index.advance_from(
        (State.CREATED,),
        container_id,
        Event.EXITED,
        exit_code=START_ERROR_CODE,
        finished_at=now_ns(),
        reason="StartError",
        message=why,
    )
