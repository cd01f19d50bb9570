"""The gRPC server on its unix socket, with reflection and health beside the two services of CRI."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import quote

import anyio
import grpc
import grpc.aio
import structlog
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from crishim.core.errors import UnavailableError
from crishim.rpc.pb import api_pb2 as pb
from crishim.rpc.pb import images_pb2
from crishim.rpc.registry import Handlers, complete_service
from crishim.rpc.socket_file import publish
from crishim.rpc.turns import Turns

_MESSAGE_LIMIT = 16 * 1024 * 1024
"""Bytes in either direction, as in containerd; gRPC's own limit is 4 MiB for requests."""

_OPTIONS = (
    ("grpc.max_receive_message_length", _MESSAGE_LIMIT),
    ("grpc.max_send_message_length", _MESSAGE_LIMIT),
)

_RUNTIME = pb.DESCRIPTOR.services_by_name["RuntimeService"]
_IMAGE = pb.DESCRIPTOR.services_by_name["ImageService"]
_OWN = images_pb2.DESCRIPTOR.services_by_name["Images"]
_SERVICES = (_RUNTIME.full_name, _IMAGE.full_name, _OWN.full_name)
_NOTHING: Handlers = MappingProxyType({})

_log = structlog.get_logger(__name__)


@asynccontextmanager
async def serving(
    address: Path, *, runtime: Handlers, image: Handlers = _NOTHING, own: Handlers = _NOTHING, grace: float = 5.0
) -> AsyncIterator[None]:
    """Serve at ``address`` while the body runs, then let calls end for up to ``grace`` seconds and stop.

    Raises UnavailableError when gRPC cannot listen, and what ``publish`` raises.
    """
    server = grpc.aio.server(options=_OPTIONS)
    services, turns = ((_RUNTIME, runtime), (_IMAGE, image), (_OWN, own)), Turns()
    server.add_generic_rpc_handlers(tuple(complete_service(service, handlers, turns) for service, handlers in services))
    probes = await _add_health(server)
    names = [*_SERVICES, health.SERVICE_NAME, reflection.SERVICE_NAME]
    reflection.enable_server_reflection(names, server)
    async with AsyncExitStack() as undo:
        undo.push_async_callback(_stop, server, probes, grace)
        socket_file = publish(address, lambda path: _bind(server, path))
        undo.callback(socket_file.remove)
        await server.start()
        _log.info("serving", address=str(address))
        yield


async def _add_health(server: grpc.aio.Server) -> Any:
    """Answer ``grpc.health.v1`` for the server as a whole and for each service."""
    probes = health.aio.HealthServicer()  # type: ignore[attr-defined]  # newer than its type stubs
    for name in _SERVICES:
        await probes.set(name, health_pb2.HealthCheckResponse.SERVING)
    health_pb2_grpc.add_HealthServicer_to_server(probes, server)
    return probes


def _bind(server: grpc.aio.Server, path: Path) -> None:
    try:
        server.add_insecure_port(f"unix:{quote(os.fspath(path))}")
    except RuntimeError as exc:
        raise UnavailableError(f"cannot listen in {path.parent}: gRPC refuses, see its output") from exc


async def _stop(server: grpc.aio.Server, probes: Any, grace: float) -> None:
    """Take no more calls and wait for those that run, even when the surroundings are being cancelled."""
    with anyio.CancelScope(shield=True):
        await probes.enter_graceful_shutdown()
        await server.stop(grace)
    _log.info("stopped serving")
