"""TLS for the streaming server."""

from pathlib import Path

import pytest

from crishim.core.errors import ConfigError, UnavailableError
from crishim.streaming.certificate import server_context

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("address", ["127.0.0.1", "::", "node.example", ""])
async def test_a_certificate_of_its_own(address: str) -> None:
    context = await server_context(address, None, None)
    assert context.cert_store_stats()["x509"] == 0  # it is shown to clients, not trusted from others


async def test_files_that_are_no_certificate(tmp_path: Path) -> None:
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    certificate.write_text("nonsense")
    with pytest.raises(ConfigError, match=r"cert\.pem with .*key\.pem"):
        await server_context("::1", certificate, key)


async def test_no_openssl(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UnavailableError, match="openssl"):
        await server_context("::1", None, None)
