"""The hosts that serve a registry's names: hosts.toml and certificate files, as containerd reads them.

``CONFIG_PATH/HOST_PORT_/hosts.toml``, then ``HOST:PORT``, then ``_default``; mirrors in the order of the file, the
server last. Unlike in containerd, a file that cannot be used is an error: else a typing mistake would send pulls past
the mirror.

Source: containerd 2.3, docs/hosts.md.
"""

from __future__ import annotations

import ipaddress
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct, field

from crishim.core.durations import parse_duration
from crishim.core.errors import ConfigError

PULL, RESOLVE = "pull", "resolve"
DEFAULT_CONNECT_TIMEOUT = 30.0

_CAPABILITIES = frozenset({PULL, RESOLVE, "push", "referrers"})
_DOCKER_HUB, _DOCKER_HUB_HOST = "docker.io", "registry-1.docker.io"
_API = "/v2"


@dataclass(frozen=True)
class TLS:
    """How the other side is verified and what it is shown. A pair without key has the key in its first file."""

    ca: tuple[Path, ...] = ()
    client: tuple[tuple[Path, Path | None], ...] = ()
    skip_verify: bool = False


@dataclass(frozen=True)
class RegistryHost:
    """One place to ask. ``host`` may have a port; ``path`` is the API's root, mostly /v2.

    ``is_fallback``: the host before is the same one, and this is for the case that it does not answer there.
    """

    scheme: str
    host: str
    path: str = _API
    capabilities: frozenset[str] = _CAPABILITIES
    tls: TLS = TLS()
    headers: tuple[tuple[str, str], ...] = ()
    connect_timeout: float = DEFAULT_CONNECT_TIMEOUT
    is_fallback: bool = False

    @property
    def base(self) -> str:
        """The URL that repository names are appended to."""
        return f"{self.scheme}://{self.host}{self.path}"

    def is_proxy_for(self, domain: str) -> bool:
        """Whether this host stands in for another registry, which it must then be told."""
        return self.host not in (domain, _DOCKER_HUB_HOST if domain == _DOCKER_HUB else domain)


class _HostTable(Struct, frozen=True):
    capabilities: tuple[str, ...] = ()
    ca: str | tuple[str, ...] = ()
    client: str | tuple[str | Annotated[tuple[str, ...], msgspec.Meta(min_length=2, max_length=2)], ...] = ()
    skip_verify: bool = False
    header: Mapping[str, str | tuple[str, ...]] = field(default_factory=dict)
    override_path: bool = False
    dial_timeout: str = ""


class _HostsFile(_HostTable, frozen=True):
    server: str = ""
    host: Mapping[str, _HostTable] = field(default_factory=dict)


def hosts_for(domain: str, config_path: Iterable[Path]) -> tuple[RegistryHost, ...]:
    """The hosts to ask for names of ``domain``, in order. Reads files; raises ConfigError naming the one at fault."""
    directory = _find_directory(domain, config_path)
    if directory is None:
        return default_hosts(domain, TLS())
    file = directory / "hosts.toml"
    try:
        text = file.read_bytes() if file.exists() else b""
        return parse_hosts(text, domain, file) if text.strip() else default_hosts(domain, _certificates(directory))
    except OSError as exc:
        raise ConfigError(f"{exc.filename}: {exc.strerror}") from exc


def parse_hosts(text: bytes, domain: str, file: Path) -> tuple[RegistryHost, ...]:
    """What hosts.toml says about ``domain``; relative paths are taken from the directory of ``file``."""
    try:
        table = msgspec.convert(tomllib.loads(text.decode()), _HostsFile)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError, UnicodeDecodeError) as exc:
        raise ConfigError(f"{file}: {exc}") from exc
    mirrors = [_host(name, entry, file) for name, entry in table.host.items()]
    if table.server:
        return (*mirrors, _host(table.server, table, file))
    last = default_hosts(domain, _tls(table, file))
    return (*mirrors, *(_with_extras(host, table, file) for host in last))


def default_hosts(domain: str, tls: TLS) -> tuple[RegistryHost, ...]:
    """Where names of ``domain`` are served when nobody says otherwise: https, but on loopback plain http too."""
    if domain == _DOCKER_HUB:
        return (RegistryHost("https", _DOCKER_HUB_HOST, tls=tls),)
    if not is_loopback(domain):
        return (RegistryHost("https", domain, tls=tls),)
    port = urlsplit(f"//{domain}").port
    plain = RegistryHost("http", domain)
    secure = RegistryHost("https", domain, tls=replace(tls, skip_verify=True))
    either = (plain, replace(secure, is_fallback=True))
    return {80: (plain,), 443: (secure,), None: (secure,)}.get(port, either)


def is_loopback(host: str) -> bool:
    """Whether ``host``, maybe with a port, is this machine by its name or number."""
    name = urlsplit(f"//{host}").hostname or ""
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _find_directory(domain: str, config_path: Iterable[Path]) -> Path | None:
    host, colon, port = domain.rpartition(":")
    names = [f"{host}_{port}_"] if colon and host and not domain.endswith("]") else []
    candidates = (root / name for root in config_path for name in (*names, domain, "_default"))
    return next((path for path in candidates if path.exists()), None)


def _host(server: str, table: _HostTable, file: Path) -> RegistryHost:
    url = urlsplit(server if "://" in server else f"https://{server}")
    if not url.netloc or url.scheme not in ("http", "https"):
        raise ConfigError(f"{file}: {server!r} is not a URL of a registry")
    path = url.path.rstrip("/")
    if not table.override_path and not path.endswith(_API):
        path += _API
    return _with_extras(RegistryHost(url.scheme, url.netloc, path, tls=_tls(table, file)), table, file)


def _with_extras(host: RegistryHost, table: _HostTable, file: Path) -> RegistryHost:
    capabilities = frozenset(name.lower() for name in table.capabilities)
    if unknown := capabilities - _CAPABILITIES:
        raise ConfigError(f"{file}: unknown capability {', '.join(sorted(unknown))}")
    headers = tuple(
        (name, value)
        for name, values in table.header.items()
        for value in ((values,) if isinstance(values, str) else values)
    )
    try:
        timeout = parse_duration(table.dial_timeout) if table.dial_timeout else DEFAULT_CONNECT_TIMEOUT
    except ValueError as exc:
        raise ConfigError(f"{file}: dial_timeout: {exc}") from exc
    return replace(host, capabilities=capabilities or _CAPABILITIES, headers=headers, connect_timeout=timeout)


def _tls(table: _HostTable, file: Path) -> TLS:
    ca = (table.ca,) if isinstance(table.ca, str) else table.ca
    entries: Sequence[str | tuple[str, ...]] = (table.client,) if isinstance(table.client, str) else table.client
    base = file.parent
    pairs = [
        (base / entry, None) if isinstance(entry, str) else (base / entry[0], base / entry[1]) for entry in entries
    ]
    return TLS(tuple(base / name for name in ca), tuple(pairs), table.skip_verify)


def _certificates(directory: Path) -> TLS:
    """Docker's layout: ``*.crt`` are authorities, ``*.cert`` with ``*.key`` what this side shows."""
    files = sorted(path for path in directory.iterdir() if path.is_file())
    ca = tuple(path for path in files if path.suffix == ".crt")
    certificates = [path for path in files if path.suffix == ".cert"]
    pairs = tuple((path, key if (key := path.with_suffix(".key")).exists() else None) for path in certificates)
    return TLS(ca, pairs)
