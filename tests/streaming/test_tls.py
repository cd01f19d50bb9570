"""The server with TLS: its own certificate, and one from files."""

import ssl
import subprocess
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp
import pytest

from crishim.core.errors import ConfigError, UnavailableError
from crishim.model.stream import ExecStream
from crishim.streaming.service import Streams

pytestmark = pytest.mark.anyio

Start = Callable[..., Awaitable[Streams]]
ECHO = ExecStream(container_id="c0", command=("echo", "hello"), stdout=True)


async def output(url: str, trust: ssl.SSLContext | bool) -> bytes:
    async with (
        aiohttp.ClientSession() as http,
        http.ws_connect(url, protocols=["v5.channel.k8s.io"], ssl=trust) as socket,
    ):
        return b"".join([message.data[1:] async for message in socket if message.data[0] == 1])


async def test_a_certificate_of_its_own(start: Start) -> None:
    url = (await start(tls=True)).exec(ECHO)
    assert url.startswith("https://127.0.0.1:")
    assert await output(url, trust=False) == b"hello\n"


async def test_a_certificate_from_files(start: Start, tmp_path: Path) -> None:
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    make = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 -subj /CN=test -addext"
    names = ["subjectAltName=IP:127.0.0.1", "-out", str(certificate), "-keyout", str(key)]
    subprocess.run([*make.split(), *names], check=True, capture_output=True)  # noqa: ASYNC221  # a few milliseconds
    url = (await start(tls=True, tls_cert_file=certificate, tls_key_file=key)).exec(ECHO)
    trust = ssl.create_default_context(cafile=certificate)
    assert await output(url, trust) == b"hello\n"


async def test_files_that_are_not_there(start: Start, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.pem"):
        await start(tls=True, tls_cert_file=tmp_path / "none.pem", tls_key_file=tmp_path / "none.pem")


@pytest.mark.parametrize("address", ["127.0.0.1", ""])
async def test_an_address_that_is_taken(start: Start, address: str) -> None:
    port = int((await start()).exec(ECHO).split("/")[2].split(":")[1])
    with pytest.raises(UnavailableError, match=f"cannot listen on 127.0.0.1 port {port}"):
        await start(address=address, port=port)


@pytest.mark.parametrize("address", ["192.0.2.1", "no such host.invalid"])
async def test_an_address_that_is_not_here(start: Start, address: str) -> None:
    with pytest.raises(UnavailableError, match=address):
        await start(address=address)


async def test_ipv6(start: Start) -> None:
    url = (await start(address="::1")).exec(ECHO)
    assert url.startswith("http://[::1]:")
    assert await output(url, trust=True) == b"hello\n"
