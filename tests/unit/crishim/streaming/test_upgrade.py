"""Which upgrade a request gets, before anything is done about it."""

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from multidict import CIMultiDict

from crishim.streaming.upgrade import choose_spdy, choose_websocket, is_websocket

SUPPORTED = ("v4.channel.k8s.io", "channel.k8s.io")
SPDY = [("Connection", "Upgrade"), ("Upgrade", "SPDY/3.1")]
WEBSOCKET = [
    ("Connection", "keep-alive, Upgrade"),
    ("Upgrade", "websocket"),
    ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAA=="),
]


def request(*headers: tuple[str, str]) -> web.Request:
    return make_mocked_request("POST", "/exec/t", headers=CIMultiDict(headers))


def offers(*names: str) -> list[tuple[str, str]]:
    return [("X-Stream-Protocol-Version", name) for name in names]


@pytest.mark.parametrize(
    ("named", "chosen"),
    [
        (["v5.channel.k8s.io", "v4.channel.k8s.io", "channel.k8s.io"], "v4.channel.k8s.io"),
        (["channel.k8s.io, v4.channel.k8s.io"], "channel.k8s.io"),
    ],
)
def test_the_first_that_both_know(named: list[str], chosen: str) -> None:
    assert choose_spdy(request(*SPDY, *offers(*named)), SUPPORTED) == chosen


@pytest.mark.parametrize("headers", [[], SPDY[:1], SPDY[1:], [SPDY[0], ("Upgrade", "h2c")], SPDY])
def test_requests_that_are_no_upgrade_or_name_no_protocol(headers: list[tuple[str, str]]) -> None:
    with pytest.raises(web.HTTPBadRequest):
        choose_spdy(request(*headers), SUPPORTED)


def test_no_protocol_in_common() -> None:
    with pytest.raises(web.HTTPForbidden) as caught:
        choose_spdy(request(*SPDY, *offers("v9.channel.k8s.io")), SUPPORTED)
    assert caught.value.headers.getall("X-Accepted-Stream-Protocol-Versions") == list(SUPPORTED)


def subprotocols(*names: str) -> tuple[str, str]:
    return "Sec-WebSocket-Protocol", ", ".join(names)


def test_no_subprotocol_in_common() -> None:
    with pytest.raises(web.HTTPForbidden, match="Forbidden"):
        choose_websocket(request(*WEBSOCKET, subprotocols("v9.channel.k8s.io")), SUPPORTED)


def test_a_websocket_without_a_key() -> None:
    with pytest.raises(web.HTTPBadRequest):
        choose_websocket(request(*WEBSOCKET[:3], subprotocols("channel.k8s.io")), SUPPORTED)


def test_which_of_both_is_wanted() -> None:
    assert [is_websocket(request(*headers)) for headers in (WEBSOCKET, SPDY, WEBSOCKET[1:])] == [True, False, False]
