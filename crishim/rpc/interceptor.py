"""The one boundary between gRPC and the handlers: decoding, log context, errors to status codes.

Every handler is wrapped once, when it is registered, so nothing is looked up per call. A handler takes the
decoded request and returns the response, or yields responses, and lets errors through.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Container, Iterable
from contextlib import aclosing
from functools import partial
from time import perf_counter
from typing import Any, NoReturn

import structlog
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass
from grpc import StatusCode
from grpc.aio import BaseError, ServicerContext

from crishim.core.errors import InvalidArgumentError
from crishim.rpc.codes import Failure, failure_of
from crishim.rpc.turns import Turns

UnaryHandler = Callable[[Any], Awaitable[Message]]
StreamHandler = Callable[[Any], AsyncGenerator[Message, None]]
Context = ServicerContext[Any, Any]

_CHANGES = ("RunPod", "Create", "Start", "Stop", "Remove", "Update", "Checkpoint", "Restore", "Pull", "Import")
"""How the names of rpcs begin that change something; the others kubelet calls every few seconds."""

_EXPECTED = (StatusCode.NOT_FOUND, StatusCode.UNIMPLEMENTED, StatusCode.CANCELLED)
"""Failures that are part of normal work."""

_IDS = {"pod_sandbox_id": "sandbox_id", "container_id": "container_id"}
"""Fields of requests and responses that belong into the log, and their keys there."""

_log = structlog.get_logger(__name__)


class Boundary:
    """What surrounds the handler of one rpc."""

    def __init__(self, method: MethodDescriptor, turns: Turns) -> None:
        self._turn = turns.of(method.name)
        self.rpc = f"{method.containing_service.full_name}/{method.name}"
        self._request = GetMessageClass(method.input_type)
        self._request_ids = _ids_in(method.input_type.fields_by_name)
        self._response_ids = _ids_in(method.output_type.fields_by_name)
        level = logging.INFO if method.name.startswith(_CHANGES) else logging.DEBUG
        self._log_begin, self._log_end = _log.debug, partial(_log.log, level, "rpc ended")
        self._logs_end = _log.is_enabled_for(level)

    def unary(self, handler: UnaryHandler) -> Callable[[bytes, Context], Awaitable[Message]]:
        """``handler`` as gRPC calls it, for one response."""

        async def behavior(raw: bytes, context: Context) -> Message:
            began = perf_counter()
            try:
                request = self._begin(raw)
                async with self._turn():
                    response = await handler(request)
            except (Exception, asyncio.CancelledError) as error:
                await self._fail(error, began, context)
            self._note_end(began, response)
            return response

        return behavior

    def stream(self, handler: StreamHandler) -> Callable[[bytes, Context], Awaitable[None]]:
        """``handler`` as gRPC calls it, for any number of responses."""

        async def behavior(raw: bytes, context: Context) -> None:
            began = perf_counter()
            try:
                async with aclosing(handler(self._begin(raw))) as responses:
                    async for response in responses:
                        await context.write(response)
            except (Exception, asyncio.CancelledError) as error:
                await self._fail(error, began, context)
            self._log_end(code="OK", ms=_ms_since(began))

        return behavior

    def _begin(self, raw: bytes) -> Message:
        """Decode the request and bind the log context, which ends with the call's own task."""
        try:
            request = self._request.FromString(raw)
        except DecodeError as exc:
            structlog.contextvars.bind_contextvars(rpc=self.rpc)
            raise InvalidArgumentError(f"the request is not a {self._request.DESCRIPTOR.full_name}: {exc}") from exc
        structlog.contextvars.bind_contextvars(rpc=self.rpc, **_ids_of(request, self._request_ids))
        self._log_begin("rpc began")
        return request

    def _note_end(self, began: float, response: Message) -> None:
        """Log the end of a call, after its answer has been sent, lest the line delays it."""
        if self._logs_end:
            entry = {"code": "OK", "ms": _ms_since(began), **_ids_of(response, self._response_ids)}
            asyncio.get_running_loop().call_soon(partial(self._log_end, **entry))

    async def _fail(self, error: BaseException, began: float, context: Context) -> NoReturn:
        """Send the status of ``error``, unless the caller is gone."""
        if isinstance(error, BaseError):
            _log.info("rpc lost its caller", ms=_ms_since(began))
            raise error
        failure = failure_of(error, self.rpc)
        _log_failure(failure, error, _ms_since(began))
        if isinstance(error, asyncio.CancelledError) and _task_is_cancelled():
            raise error
        await context.abort(failure.code, failure.details)


def _ids_in(fields: Container[str]) -> tuple[tuple[str, str], ...]:
    return tuple((field, key) for field, key in _IDS.items() if field in fields)


def _ids_of(message: Message, fields: Iterable[tuple[str, str]]) -> dict[str, str]:
    return {key: value for field, key in fields if (value := getattr(message, field))}


def _ms_since(began: float) -> float:
    return round((perf_counter() - began) * 1000, 3)


def _log_failure(failure: Failure, error: BaseException, ms: float) -> None:
    if failure.bug:
        _log.error("rpc failed", code=failure.code.name, ms=ms, exc_info=error)
    else:
        log = _log.info if failure.code in _EXPECTED else _log.warning
        log("rpc failed", code=failure.code.name, ms=ms, error=failure.message)


def _task_is_cancelled() -> bool:
    """Whether gRPC itself cancelled the call: then nobody waits for a status. Else one must be sent."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
