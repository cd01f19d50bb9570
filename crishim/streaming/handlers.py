"""HTTP requests for streams: negotiate, take the token, upgrade the connection, serve the stream.

A request that cannot be upgraded is refused before its token is taken, so that the client may try another way.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from typing import Any, TypeVar

import structlog
from aiohttp import web

from crishim.core.errors import CrishimError, NotFoundError
from crishim.core.tasks import TaskOwner
from crishim.model.stream import AttachStream, ExecStream, PortForwardStream
from crishim.streaming.pipe import WebSocketPipe
from crishim.streaming.portforward import spdy as ports_spdy
from crishim.streaming.portforward import websocket as ports_websocket
from crishim.streaming.ports import Backends, PodConnection, Session
from crishim.streaming.remotecommand import spdy as command_spdy
from crishim.streaming.remotecommand import websocket as command_websocket
from crishim.streaming.remotecommand.run import Job
from crishim.streaming.service import ready_sandbox
from crishim.streaming.timeouts import Timeouts
from crishim.streaming.tokens import TokenStore
from crishim.streaming.upgrade import choose_spdy, choose_websocket, is_websocket, to_spdy, transport_of

CommandT = TypeVar("CommandT", ExecStream, AttachStream)
RequestT = TypeVar("RequestT", ExecStream, AttachStream, PortForwardStream)

_log = structlog.get_logger(__name__)


class Handlers:
    """Serves the streams that ``tokens`` know, each in a task of ``owner``."""

    def __init__(self, tokens: TokenStore, backends: Backends, timeouts: Timeouts, owner: TaskOwner) -> None:
        self._tokens, self._backends, self._timeouts, self._owner = tokens, backends, timeouts, owner

    def routes(self) -> list[web.RouteDef]:
        """What is served where."""
        verbs = {"exec": self.exec, "attach": self.attach, "portforward": self.port_forward}
        return [web.route(method, f"/{verb}/{{token}}", verbs[verb]) for verb in verbs for method in ("GET", "POST")]

    async def exec(self, http: web.Request) -> web.StreamResponse:
        """Run a command."""
        return await self._command(http, ExecStream, self._backends.exec.start, "executing command in container")

    async def attach(self, http: web.Request) -> web.StreamResponse:
        """Attach to a container."""
        return await self._command(http, AttachStream, self._backends.attach.attach, "attaching to container")

    async def _command(
        self, http: web.Request, kind: type[CommandT], start: Callable[[CommandT], Awaitable[Session]], doing: str
    ) -> web.StreamResponse:
        if is_websocket(http):
            name, socket = choose_websocket(http, command_websocket.PROTOCOLS)
            request = self._take(http, kind)
            await socket.prepare(http)
            job = Job(request, partial(start, request), doing)
            subprotocol = command_websocket.PROTOCOLS[name]
            serving = command_websocket.serve(socket, transport_of(http), job, subprotocol, self._timeouts)
            return await self._serve(f"{doing} {request.container_id}", name, serving, socket)
        name = choose_spdy(http, command_spdy.PROTOCOLS)
        request = self._take(http, kind)
        response, pipe = await to_spdy(http, name)
        job = Job(request, partial(start, request), doing)
        serving = command_spdy.serve(pipe, job, command_spdy.PROTOCOLS[name], self._timeouts)
        return await self._serve(f"{doing} {request.container_id}", f"SPDY {name}", serving, response)

    async def port_forward(self, http: web.Request) -> web.StreamResponse:
        """Forward ports of a sandbox."""
        if is_websocket(http):
            return await self._port_forward_in_websocket(http)
        name = choose_spdy(http, (ports_spdy.PROTOCOL,))
        request = self._take(http, PortForwardStream)
        response, pipe = await to_spdy(http, name)
        serving = ports_spdy.serve(pipe, partial(self._dial, request), self._timeouts)
        return await self._serve(f"forwarding ports of {request.sandbox_id}", f"SPDY {name}", serving, response)

    async def _port_forward_in_websocket(self, http: web.Request) -> web.StreamResponse:
        name, socket = choose_websocket(http, (*ports_websocket.TUNNELS, *ports_websocket.PROTOCOLS))
        subprotocol = ports_websocket.PROTOCOLS.get(name)
        if subprotocol is not None:
            self._require_channels(http)
        request = self._take(http, PortForwardStream)
        dial = partial(self._dial, request)
        await socket.prepare(http)
        if subprotocol is None:
            serving = ports_spdy.serve(WebSocketPipe(socket, transport_of(http)), dial, self._timeouts)
        else:
            serving = ports_websocket.serve(
                socket, transport_of(http), request.ports, subprotocol, dial, self._timeouts
            )
        return await self._serve(f"forwarding ports of {request.sandbox_id}", name, serving, socket)

    def _require_channels(self, http: web.Request) -> None:
        """Refuse a URL for which there are no channels: it has to name ports, and not too many."""
        count = len(self._find(http, PortForwardStream).ports)
        if not 0 < count <= ports_websocket.MAX_PORTS:
            expected = f"a URL that was made for 1 to {ports_websocket.MAX_PORTS} ports"
            raise web.HTTPBadRequest(text=f"expected {expected}; found one for {count}")

    async def _dial(self, request: PortForwardStream, port: int) -> PodConnection:
        sandbox = ready_sandbox(self._backends.sandboxes, request.sandbox_id)
        return await self._backends.dialer.connect(sandbox.namespaces.net, port)

    def _find(self, http: web.Request, kind: type[RequestT]) -> RequestT:
        """What the token was made for, which is not used up by this."""
        try:
            return self._tokens.find(http.match_info["token"], kind)
        except NotFoundError as error:
            raise web.HTTPNotFound(text=str(error)) from error

    def _take(self, http: web.Request, kind: type[RequestT]) -> RequestT:
        """As ``_find``, but the token is used up."""
        self._find(http, kind)
        return self._tokens.take(http.match_info["token"], kind)

    async def _serve(
        self, name: str, protocol: str, serving: Coroutine[Any, Any, None], response: web.StreamResponse
    ) -> web.StreamResponse:
        """Run ``serving`` to its end; ``response`` has been sent before, so an error can only be logged."""
        try:
            task = self._owner.spawn(name, serving)
        except CrishimError as error:
            _log.info("stream refused", stream=name, error=str(error))
            return response
        _log.info("stream begins", stream=name, protocol=protocol)
        try:
            await task
        except Exception:  # logged by the owner of the task
            return response
        _log.info("stream ended", stream=name)
        return response
