"""The connections that a server keeps."""

from __future__ import annotations

import gc
import os
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, aclosing
from pathlib import Path

import pytest
from aiohttp import ClientResponse, ClientSession

from crishim.image.registry.hosts import TLS, RegistryHost
from crishim.image.registry.transport import Transport
from crishim.testing.registry import FakeRegistry

pytestmark = pytest.mark.anyio


@pytest.fixture
async def registry() -> AsyncIterator[FakeRegistry]:
    async with FakeRegistry().serving() as serving:
        yield serving


@pytest.fixture
async def transport() -> AsyncIterator[Transport]:
    async with aclosing(Transport()) as made:
        yield made


@pytest.fixture
def authority(tmp_path: Path) -> Path:
    path = tmp_path / "ca.crt"
    make = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 -subj /CN=test -keyout"
    subprocess.run([*make.split(), tmp_path / "key", "-out", path], check=True, capture_output=True)
    return path


@pytest.fixture
def trusted(authority: Path) -> ssl.SSLContext:
    """Has a certificate that ``authority`` has signed."""
    key, certificate = authority.with_name("server.key"), authority.with_name("server.crt")
    make = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 -subj /CN=server"
    signed = ("-addext", "subjectAltName=IP:127.0.0.1", "-CA", authority, "-CAkey", authority.with_name("key"))
    subprocess.run([*make.split(), *signed, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context


def _get(transport: Transport, registry: FakeRegistry, authority: Path) -> AbstractAsyncContextManager[ClientResponse]:
    host = RegistryHost("http", registry.host, tls=TLS(ca=(authority,)))
    return transport.request("GET", f"http://{registry.host}/v2/", host, {})


def _open_sessions() -> int:
    return sum(not found.closed for found in gc.get_objects() if isinstance(found, ClientSession))


def _renew(file: Path) -> None:
    os.utime(file, ns=(0, file.stat().st_mtime_ns + 1))


async def test_connections_with_a_replaced_certificate_are_closed(
    transport: Transport, registry: FakeRegistry, authority: Path
) -> None:
    before = _open_sessions()
    for _ in range(3):
        async with _get(transport, registry, authority) as response:
            assert response.status == 200
        assert _open_sessions() == before + 2
        _renew(authority)


async def test_but_not_under_a_request(transport: Transport, registry: FakeRegistry, authority: Path) -> None:
    before = _open_sessions()
    async with _get(transport, registry, authority) as early:
        _renew(authority)
        async with _get(transport, registry, authority) as late:
            assert await late.read() == await early.read() == b"{}"
            assert _open_sessions() == before + 4
    assert _open_sessions() == before + 2


async def test_an_authority_that_does_not_say_what_its_key_is_for_is_trusted(
    transport: Transport, authority: Path, trusted: ssl.SSLContext
) -> None:
    async with FakeRegistry().serving(trusted) as registry:
        host = RegistryHost("https", registry.host, tls=TLS(ca=(authority,)))
        async with transport.request("GET", f"https://{registry.host}/v2/", host, {}) as response:
            assert response.status == 200
