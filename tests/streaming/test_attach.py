"""Attach: as exec, but the container does not end with the stream."""

import json
from collections.abc import Awaitable, Callable

import aiohttp
import pytest

from crishim.core.errors import UnavailableError
from crishim.testing.stream_client import spdy
from crishim.testing.streams import FakeAttach, sleep

pytestmark = pytest.mark.anyio

MakeUrl = Callable[[], str]
Ended = Callable[[], Awaitable[str]]
KINDS = ("error", "stdin", "stdout", "stderr")


async def test_over_spdy(attach_url: MakeUrl, ended: Ended) -> None:
    async with spdy(attach_url()) as mux:
        error, stdin, stdout, _ = (mux.open({"streamtype": kind}) for kind in KINDS)
        await stdin.write(b"hello")
        assert await stdout.read() == b"hello"
        await stdin.close()
        status = await error.read()
    assert status == b'{"status":"Success"}'
    assert await ended() == "by itself"


async def test_in_a_websocket(attach_url: MakeUrl) -> None:
    async with (
        aiohttp.ClientSession() as http,
        http.ws_connect(attach_url(), protocols=["v5.channel.k8s.io"]) as socket,
    ):
        await socket.send_bytes(b"\0hello")
        assert [await socket.receive_bytes() for _ in range(2)] == [b"\x01", b"\x01hello"]
        await socket.send_bytes(b"\xff\0")
        assert await socket.receive_bytes() == b'\x03{"status":"Success"}'


async def test_a_client_that_goes_leaves_the_container_alone(
    attach_url: MakeUrl, attach_backend: FakeAttach, ended: Ended
) -> None:
    attach_backend.program = sleep
    async with spdy(attach_url()) as mux:
        _, _, stdout, _ = (mux.open({"streamtype": kind}) for kind in KINDS)
        assert await stdout.read() == b"asleep\n"
    assert await ended() == "left alone"


async def test_a_container_that_cannot_be_reached(attach_url: MakeUrl, attach_backend: FakeAttach) -> None:
    attach_backend.error = UnavailableError("the monitor does not answer")
    async with spdy(attach_url()) as mux:
        error, *_ = (mux.open({"streamtype": kind}) for kind in KINDS)
        status = json.loads(await error.read())
    assert status["message"] == ("Internal error occurred: error attaching to container: the monitor does not answer")
