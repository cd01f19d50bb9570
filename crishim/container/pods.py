"""The sandboxes that containers live in: only in one that is ready can they be made and run."""

from __future__ import annotations

from crishim.container.ports import Pods
from crishim.core.errors import FailedPreconditionError
from crishim.model.sandbox import State


def require_ready(pods: Pods, sandbox_id: str) -> None:
    """Raise NotFoundError, or FailedPreconditionError unless the sandbox is ready.

    A sandbox is marked before its containers are stopped. So whoever makes something in it that lives on has to ask
    again when that can be seen in the index: what is seen too late to be stopped must not stay.
    """
    sandbox = pods.get(sandbox_id)
    if sandbox.state is not State.READY:
        raise FailedPreconditionError(f"pod sandbox {sandbox.id} is {sandbox.state}, not ready")
