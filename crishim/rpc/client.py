"""A small CRI client, for what the command line asks of the server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import grpc
from msgspec import Struct

from crishim.core.errors import NotFoundError, UnavailableError
from crishim.rpc.pb import api_pb2 as pb
from crishim.rpc.pb.api_pb2_grpc import RuntimeServiceStub


class PodView(Struct, frozen=True):
    """One sandbox as the server describes it; ``info`` is the verbose status."""

    id: str
    name: str
    namespace: str
    ips: tuple[str, ...]
    info: dict[str, Any]


async def describe_pod(address: Path, pod: str) -> PodView:
    """The sandbox whose id begins with ``pod``, or else the newest whose pod has that name.

    Raises NotFoundError, UnavailableError when no server answers at ``address``.
    """
    async with grpc.aio.insecure_channel(f"unix:{address}") as channel:
        stub = RuntimeServiceStub(channel)
        try:
            listed = await stub.ListPodSandbox(pb.ListPodSandboxRequest())
            found = _find(listed.items, pod)
            answer = await stub.PodSandboxStatus(pb.PodSandboxStatusRequest(pod_sandbox_id=found, verbose=True))
        except grpc.aio.AioRpcError as error:
            raise UnavailableError(f"{address}: {error.code().name}: {error.details()}") from error
    return _view(answer)


def _find(items: Any, pod: str) -> str:
    matches = [item.id for item in items if pod and item.id.startswith(pod)]
    matches += [item.id for item in sorted(items, key=lambda item: -item.created_at) if item.metadata.name == pod]
    if not matches:
        raise NotFoundError(f"no pod sandbox whose id begins with {pod!r} and no pod of that name")
    return str(matches[0])


def _view(answer: pb.PodSandboxStatusResponse) -> PodView:
    status = answer.status
    ips = (status.network.ip, *(extra.ip for extra in status.network.additional_ips))
    return PodView(
        id=status.id,
        name=status.metadata.name,
        namespace=status.metadata.namespace,
        ips=tuple(ip for ip in ips if ip),
        info=json.loads(answer.info["info"]),
    )
