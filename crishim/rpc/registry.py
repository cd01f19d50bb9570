"""From the handlers that are built to a complete gRPC service: every other rpc says that it is not built yet."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator, Callable, Mapping
from typing import Any

import grpc
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from crishim.core.errors import UnimplementedError
from crishim.rpc.interceptor import Boundary, StreamHandler, UnaryHandler
from crishim.rpc.turns import Turns

Handler = Callable[[Any], Any]
"""An ``UnaryHandler`` or a ``StreamHandler``: the rpc says which."""

Handlers = Mapping[str, Handler]
"""By name of the rpc."""


def combine(*groups: Handlers) -> Handlers:
    """All handlers of ``groups``; raises ValueError when two handle the same rpc."""
    count = Counter(name for group in groups for name in group)
    twice = [name for name, handlers in count.items() if handlers > 1]
    if twice:
        raise ValueError(f"more than one handler for {', '.join(twice)}")
    return {name: handler for group in groups for name, handler in group.items()}


def complete_service(service: ServiceDescriptor, handlers: Handlers, turns: Turns) -> grpc.GenericRpcHandler[Any, Any]:
    """All rpcs of ``service``; raises ValueError for a handler of an rpc that it does not have."""
    methods = service.methods_by_name
    unknown = handlers.keys() - methods.keys()
    if unknown:
        raise ValueError(f"{service.full_name} has no rpc {', '.join(sorted(unknown))}")
    registered = {name: _method_handler(method, handlers.get(name), turns) for name, method in methods.items()}
    return grpc.method_handlers_generic_handler(service.full_name, registered)


def _method_handler(method: MethodDescriptor, handler: Handler | None, turns: Turns) -> grpc.RpcMethodHandler[Any, Any]:
    """Requests reach the boundary as bytes, so that it also answers for those that cannot be decoded."""
    boundary = Boundary(method, turns)
    serializer = GetMessageClass(method.output_type).SerializeToString
    if method.server_streaming:
        stream = boundary.stream(handler or _not_built_stream(boundary.rpc))
        return grpc.unary_stream_rpc_method_handler(stream, response_serializer=serializer)
    unary = boundary.unary(handler or _not_built(boundary.rpc))
    return grpc.unary_unary_rpc_method_handler(unary, response_serializer=serializer)


def _not_built(rpc: str) -> UnaryHandler:
    async def refuse(_: Message) -> Message:
        raise UnimplementedError(f"{rpc} is not built yet")

    return refuse


def _not_built_stream(rpc: str) -> StreamHandler:
    refuse = _not_built(rpc)

    async def refuse_stream(request: Message) -> AsyncGenerator[Message, None]:
        yield await refuse(request)

    return refuse_stream
