"""A registry elsewhere sends this machine to names; what they stand for decides."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing
from pathlib import Path

import pytest
from aiohttp import web

from cni_runtime.testing.host import Host
from crishim.image.errors import RegistryError
from crishim.image.registry.auth import Authorizer
from crishim.image.registry.hosts import RegistryHost
from crishim.image.registry.transport import Transport
from crishim.testing.registry import FakeRegistry

pytestmark = pytest.mark.anyio

ELSEWHERE = "192.0.2.1"  # of this host, but nothing tells
NAMES = f"127.0.0.1 local.test\n127.0.0.1 other-local.test\n{ELSEWHERE} far.test other-far.test\n"


@pytest.fixture(autouse=True)
def names(host_netns: Host) -> None:
    host_netns.run("ip", "address", "add", ELSEWHERE, "dev", "lo")
    Path("/etc/hosts").write_text(NAMES)


@pytest.fixture
async def transport() -> AsyncIterator[Transport]:
    async with aclosing(Transport()) as transport:
        yield transport


def sending_to(address: str, target: str) -> FakeRegistry:
    """A registry at ``address`` that sends everyone to ``target``."""

    async def send(request: web.Request) -> web.Response:
        return web.Response(status=307, headers={"Location": target})

    return FakeRegistry(address=address, fault=send)


async def get(transport: Transport, name: str, port: int) -> int:
    """What comes of a request at the registry called ``name``."""
    host = RegistryHost("http", f"{name}:{port}")
    async with transport.request("GET", f"{host.base}/a/blobs/b", host, {}) as response:
        await response.read()
        return response.status


@pytest.mark.parametrize(
    ("name", "target"),
    [("far.test", "other-far.test"), ("local.test", "other-local.test"), ("local.test", "far.test")],
)
async def test_followed(transport: Transport, name: str, target: str) -> None:
    first, second = ("127.0.0.1" if "local" in each else ELSEWHERE for each in (name, target))
    end = FakeRegistry(address=second)
    async with end.serving(), sending_to(first, f"http://{target}:{end.port}/v2/").serving() as registry:
        assert await get(transport, name, registry.port) == 200


async def test_nobody_is_sent_to_a_name_of_this_machine_from_elsewhere(transport: Transport) -> None:
    """Neither when a connection to it is open, as after a pull from there."""
    async with FakeRegistry().serving() as local:
        assert await get(transport, "local.test", local.port) == 404
        async with sending_to(ELSEWHERE, f"http://local.test:{local.port}/v2/").serving() as far:
            with pytest.raises(RegistryError, match=r"redirect to local\.test: refused, 127\.0\.0\.1 leads into"):
                await get(transport, "far.test", far.port)


async def test_nor_by_way_of_another_host(transport: Transport) -> None:
    async with FakeRegistry().serving() as local, AsyncExitStack() as far:
        target = f"local.test:{local.port}"
        for name in ("other-far.test", "far.test"):
            registry = await far.enter_async_context(sending_to(ELSEWHERE, f"http://{target}/v2/a/blobs/b").serving())
            target = f"{name}:{registry.port}"
        with pytest.raises(RegistryError, match="refused"):
            await get(transport, "far.test", registry.port)


async def test_nor_to_fetch_a_token(transport: Transport) -> None:
    host, challenge = RegistryHost("http", "far.test"), 'Bearer realm="http://local.test:9/token"'
    with pytest.raises(RegistryError, match=r"redirect to local\.test: refused"):
        await Authorizer(transport, lambda _: None).answer(host, "", challenge)
