"""The sandboxes that containers live in: only in one that is ready can they be made and run."""

from __future__ import annotations

from crishim.container.ports import Pods
from crishim.core.errors import FailedPreconditionError
from crishim.model.sandbox import Sandbox, State


def ready_sandbox(pods: Pods, sandbox_id: str) -> Sandbox:
    """The sandbox with this id or unique beginning of one.

    A sandbox is marked before its containers are stopped. So whoever makes something in it that lives on has to ask
    again when that can be seen in the index: what is seen too late to be stopped must not stay.

    Raises NotFoundError, FailedPreconditionError unless it is ready.
    """
    sandbox = pods.get(sandbox_id)
    if sandbox.state is not State.READY:
        raise FailedPreconditionError(f"pod sandbox {sandbox.id} is {sandbox.state}, not ready")
    return sandbox
