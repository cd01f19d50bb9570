"""From a running server to an explanation."""

from __future__ import annotations

from pathlib import Path

from crishim.explain.facts import Explanation, gather
from crishim.rpc.client import describe_pod


async def explain_pod(address: Path, pod: str) -> Explanation:
    """Explain the pod of that name or id; raises NotFoundError or UnavailableError."""
    view = await describe_pod(address, pod)
    return await gather(view.id, view.name, view.namespace, view.ips, view.info)
