"""From an HTTP request to a connection that carries something else.

SPDY is not known to aiohttp, so the connection is taken from it: the response is sent, and then another protocol
object is put on the transport. aiohttp's own is kept to be told when the connection ends, since it keeps count.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterator

from aiohttp import web

from crishim.streaming.pipe import READ_SIZE, StreamPipe

_OFFERS = "X-Stream-Protocol-Version"
_ACCEPTED = "X-Accepted-Stream-Protocol-Versions"
_SUBPROTOCOLS = "Sec-WebSocket-Protocol"
_SPDY = "SPDY/3.1"

_MESSAGE_LIMIT = 4 * 1024 * 1024  # kubectl sends 32 KiB at a time, other clients whatever they were given
_CLOSE_SECONDS = 2.0  # for a client to confirm the end of a WebSocket


def is_websocket(request: web.BaseRequest) -> bool:
    """Whether the client wants a WebSocket."""
    return _wants_upgrade(request) and request.headers.get("Upgrade", "").strip().lower() == "websocket"


def choose_spdy(request: web.BaseRequest, supported: Collection[str]) -> str:
    """The protocol to speak over SPDY: the first that the client names and the server has. Raises an HTTP error."""
    if not _wants_upgrade(request) or _SPDY.lower() not in request.headers.get("Upgrade", "").lower():
        raise web.HTTPBadRequest(text=f"expected an upgrade to websocket or {_SPDY}")
    if request.can_read_body:
        raise web.HTTPBadRequest(text="expected a request without a body")
    offers = list(_listed(request, _OFFERS))
    if not offers:
        raise web.HTTPBadRequest(text=f"expected a header {_OFFERS}")
    for offer in offers:
        if offer in supported:
            return offer
    text = f"expected one of {', '.join(supported)} in {_OFFERS}; found {', '.join(offers)}"
    raise web.HTTPForbidden(text=text, headers=[(_ACCEPTED, name) for name in supported])


def choose_websocket(request: web.BaseRequest, supported: Collection[str]) -> tuple[str, web.WebSocketResponse]:
    """The subprotocol, empty when the client names none, and the response to ``prepare``. Raises an HTTP error."""
    offers = list(_listed(request, _SUBPROTOCOLS)) or [""]
    chosen = next((offer for offer in offers if offer in supported), None)
    if chosen is None:
        names = ", ".join(filter(None, supported))
        raise web.HTTPForbidden(text=f"expected one of {names} in {_SUBPROTOCOLS}; found {', '.join(offers)}")
    socket = web.WebSocketResponse(
        protocols=(chosen,) if chosen else (),
        timeout=_CLOSE_SECONDS,
        autoping=False,  # what comes is counted as activity, pings too
        compress=False,
        max_msg_size=_MESSAGE_LIMIT,
    )
    if not socket.can_prepare(request):
        raise web.HTTPBadRequest(text="not a proper request for a WebSocket")
    return chosen, socket


async def to_spdy(request: web.BaseRequest, protocol: str) -> tuple[web.StreamResponse, StreamPipe]:
    """Switch the connection of ``request``; the response is what its handler has to return in the end."""
    headers = {"Connection": "Upgrade", "Upgrade": _SPDY, _OFFERS: protocol}
    response = web.StreamResponse(status=101, headers=headers)
    response.force_close()
    await response.prepare(request)
    return response, _take_over(transport_of(request))


def transport_of(request: web.BaseRequest) -> asyncio.Transport:
    """The connection of ``request``; raises ConnectionResetError when it is over."""
    if request.transport is None:
        raise ConnectionResetError("the client is gone")
    return request.transport


class _Takeover(asyncio.StreamReaderProtocol):
    """Feeds a reader, and passes on the end of the connection to the protocol it replaces."""

    def __init__(self, reader: asyncio.StreamReader, replaced: asyncio.BaseProtocol) -> None:
        super().__init__(reader, loop=asyncio.get_running_loop())
        self._replaced = replaced

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._replaced.connection_lost(exc)


def _take_over(transport: asyncio.Transport) -> StreamPipe:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=READ_SIZE, loop=loop)
    protocol = _Takeover(reader, transport.get_protocol())
    transport.set_protocol(protocol)
    protocol.connection_made(transport)
    return StreamPipe(reader, asyncio.StreamWriter(transport, protocol, reader, loop))


def _wants_upgrade(request: web.BaseRequest) -> bool:
    return "upgrade" in request.headers.get("Connection", "").lower()


def _listed(request: web.BaseRequest, header: str) -> Iterator[str]:
    """The values of a header, given in one line or in several."""
    for line in request.headers.getall(header, ()):
        yield from filter(None, map(str.strip, line.split(",")))
