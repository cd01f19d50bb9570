"""hosts.toml and certificate files."""

from __future__ import annotations

from pathlib import Path

import pytest

from crishim.core.errors import ConfigError
from crishim.image.registry.hosts import TLS, RegistryHost, hosts_for, is_loopback, parse_hosts

MIRRORS = b"""
server = "https://upstream.io"
capabilities = ["pull"]
[host."https://first.io"]
  capabilities = ["pull", "resolve"]
  ca = "ca.pem"
  client = [["c.pem", "/abs/k.pem"], "both.pem"]
  dial_timeout = "1m30s"
  [host."https://first.io".header]
    x-one = "1"
    x-two = ["a", "b"]
[host."http://second.io:8080/prefix"]
  skip_verify = true
[host."third.io/api/v2/proxy"]
  override_path = true
"""


def _bases(domain: str, *roots: Path) -> list[str]:
    return [host.base for host in hosts_for(domain, roots)]


def test_a_whole_file(tmp_path: Path) -> None:
    first, second, third, server = parse_hosts(MIRRORS, "upstream.io", tmp_path / "hosts.toml")
    assert [host.base for host in (first, second, third, server)] == [
        "https://first.io/v2",
        "http://second.io:8080/prefix/v2",
        "https://third.io/api/v2/proxy",
        "https://upstream.io/v2",
    ]
    pairs = ((tmp_path / "c.pem", Path("/abs/k.pem")), (tmp_path / "both.pem", None))
    assert first.tls == TLS((tmp_path / "ca.pem",), pairs)
    assert first.headers == (("x-one", "1"), ("x-two", "a"), ("x-two", "b"))
    assert (first.connect_timeout, second.tls.skip_verify) == (90.0, True)
    assert (first.capabilities, server.capabilities) == (frozenset({"pull", "resolve"}), frozenset({"pull"}))


@pytest.mark.parametrize(
    ("domain", "bases"),
    [
        ("docker.io", ["https://registry-1.docker.io/v2"]),
        ("reg.io:5000", ["https://reg.io:5000/v2"]),
        ("localhost:5000", ["http://localhost:5000/v2", "https://localhost:5000/v2"]),
        ("127.0.0.1:80", ["http://127.0.0.1:80/v2"]),
        ("[::1]:443", ["https://[::1]:443/v2"]),
        ("localhost", ["https://localhost/v2"]),
    ],
)
def test_without_a_file(domain: str, bases: list[str]) -> None:
    assert _bases(domain) == bases


@pytest.mark.parametrize("name", ["reg.io_5000_", "reg.io:5000", "_default"])
def test_where_the_file_is_looked_for(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    (tmp_path / name / "hosts.toml").write_text('[host."http://mirror"]')
    assert _bases("reg.io:5000", tmp_path / "none", tmp_path) == ["http://mirror/v2", "https://reg.io:5000/v2"]


def test_the_first_directory_wins(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name / "reg.io").mkdir(parents=True)
        (tmp_path / name / "reg.io" / "hosts.toml").write_text(f'server = "http://{name}"')
    assert _bases("reg.io", tmp_path / "one", tmp_path / "two") == ["http://one/v2"]


def test_certificates_without_hosts_toml(tmp_path: Path) -> None:
    directory = tmp_path / "reg.io"
    directory.mkdir()
    for name in ("a.crt", "b.cert", "b.key", "c.cert", "README"):
        (directory / name).touch()
    (host,) = hosts_for("reg.io", [tmp_path])
    pairs = ((directory / "b.cert", directory / "b.key"), (directory / "c.cert", None))
    assert host.tls == TLS((directory / "a.crt",), pairs)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[host", "hosts.toml"),
        ('[host."http://m"]\ncapabilities = ["fly"]', "unknown capability fly"),
        ('[host."ftp://m"]', "not a URL"),
        ('[host."http://m"]\nskip_verify = "yes"', "skip_verify"),
        ('[host."http://m"]\ndial_timeout = "soon"', "dial_timeout"),
        ('[host."http://m"]\nclient = [["a", "b", "c"]]', "client"),
    ],
)
def test_a_file_that_cannot_be_used_is_never_passed_over(tmp_path: Path, text: str, complaint: str) -> None:
    (tmp_path / "reg.io").mkdir()
    (tmp_path / "reg.io" / "hosts.toml").write_text(text)
    with pytest.raises(ConfigError, match=complaint):
        hosts_for("reg.io", [tmp_path])


@pytest.mark.parametrize(
    ("host", "domain", "is_proxy"),
    [("m.io", "reg.io", True), ("reg.io", "reg.io", False), ("registry-1.docker.io", "docker.io", False)],
)
def test_who_is_told_the_registry_it_stands_for(host: str, domain: str, *, is_proxy: bool) -> None:
    assert RegistryHost("https", host).is_proxy_for(domain) is is_proxy


@pytest.mark.parametrize(
    ("host", "answer"), [("127.9.9.9:1", True), ("[::1]", True), ("10.0.0.1", False), ("x", False)]
)
def test_loopback(host: str, *, answer: bool) -> None:
    assert is_loopback(host) is answer
