"""Where a registry may send this machine."""

from __future__ import annotations

import pytest

from crishim.image.errors import RegistryError
from crishim.image.registry.hosts import RegistryHost
from crishim.image.registry.transport import check_redirect, without_secrets


@pytest.mark.parametrize(
    ("origin", "target"),
    [
        ("https://reg.io/v2/", "https://cdn.io/blob?sig=x"),
        ("http://127.0.0.1:5000/v2/", "http://localhost:9/x"),
        ("http://reg.internal/v2/", "https://cdn.io/x"),
    ],
)
def test_allowed(origin: str, target: str) -> None:
    check_redirect(origin, target)


@pytest.mark.parametrize(
    ("target", "complaint"),
    [
        ("http://cdn.io/x", "leave TLS"),
        ("file:///etc/passwd", "not a web address"),
        ("gopher://x/", "not a web address"),
        ("https://[", "not a web address"),
        ("https://127.0.0.1/x", "into this machine"),
        ("https://localhost:6443/x", "into this machine"),
        ("https://169.254.169.254/latest/meta-data", "into this machine"),
        ("https://[::1]/x", "into this machine"),
        ("https://0.0.0.0/x", "into this machine"),
        ("https://127.1/x", "into this machine"),
        ("https://2130706433/x", "into this machine"),
        ("https://0x7f.1/x", "into this machine"),
        ("https://0/x", "into this machine"),
        ("https://[::ffff:169.254.169.254]/x", "into this machine"),
        ("https://[fe80::1%25eth0]/x", "into this machine"),
        ("https://LOCALHOST./x", "into this machine"),
        ("https://registry.localhost/x", "into this machine"),
    ],
)
def test_refused(target: str, complaint: str) -> None:
    with pytest.raises(RegistryError, match=complaint):
        check_redirect("https://reg.io/v2/", target)


def test_secrets_stay_where_they_belong() -> None:
    host = RegistryHost("https", "reg.io", headers=(("X-Key", "1"),))
    sent = [("Authorization", "Basic x"), ("x-key", "1"), ("x-key", "2"), ("Range", "bytes=1-")]
    assert without_secrets(sent, host) == [("Range", "bytes=1-")]
