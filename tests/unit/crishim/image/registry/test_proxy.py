"""Which requests go by a proxy."""

from __future__ import annotations

import pytest

from crishim.image.registry.proxy import proxy_for


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "no_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("HTTPS_PROXY", "proxy.corp:3128")
    monkeypatch.setenv("NO_PROXY", "10.0.0.0/8, fd00::1/64,192.0.2.7,.svc,reg.io")


@pytest.mark.parametrize(
    ("host", "is_direct"),
    [
        ("reg.test", False),
        ("11.1.2.3:5000", False),
        ("10.1.2.3:5000", True),
        ("10.1.2.3", True),
        ("[fd00::2]:5000", True),
        ("[fd01::2]", False),
        ("192.0.2.7:443", True),
        ("192.0.2.70", False),
        ("a.svc:5000", True),
        ("reg.io", True),
        ("127.0.0.1:5000", True),
        ("localhost", True),
    ],
)
def test_no_proxy(host: str, *, is_direct: bool) -> None:
    assert proxy_for(f"https://{host}/v2/") == (None if is_direct else "http://proxy.corp:3128")


def test_each_scheme_has_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    assert proxy_for("http://reg.test/v2/") is None
    monkeypatch.setenv("http_proxy", "https://proxy.corp")
    assert proxy_for("http://reg.test/v2/") == "https://proxy.corp"
