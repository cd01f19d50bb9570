"""Connections to registry hosts, and one request on them: TLS, proxies, redirects, time-outs."""

from __future__ import annotations

import asyncio
import ipaddress
import ssl
import urllib.request
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from urllib.parse import urljoin, urlsplit

import aiohttp
import yarl
from aiohttp import ClientResponse, ClientSession

from crishim.core.errors import ConfigError
from crishim.image.errors import LimitError, RegistryError, UnreachableError
from crishim.image.registry.hosts import TLS, RegistryHost, is_loopback

MAX_REDIRECTS = 5
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_READ_BUFFER = 512 << 10
_CONNECTIONS_PER_HOST = 16
_PRIVATE_HEADERS = frozenset({"authorization", "cookie", "proxy-authorization"})
USER_AGENT = "crishim"


class Transport:
    """Keeps one connection pool for each way to do TLS, with the files it needs as they are now. Close it when done."""

    def __init__(self, *, read_timeout: float = 60.0) -> None:
        """``read_timeout``: seconds without a byte after which a connection counts as broken."""
        self._read_timeout = read_timeout
        self._sessions: dict[tuple[TLS, tuple[int, ...]], ClientSession] = {}

    async def aclose(self) -> None:
        """Close every connection."""
        sessions, self._sessions = list(self._sessions.values()), {}
        for session in sessions:
            await session.close()

    @asynccontextmanager
    async def request(
        self,
        method: str,
        url: str,
        host: RegistryHost,
        headers: Mapping[str, str],
        data: Mapping[str, str] | None = None,
    ) -> AsyncIterator[ClientResponse]:
        """The answer to one request, after redirects. Raises UnreachableError, and RegistryError for a bad redirect.

        ``headers`` and those of ``host`` go to the first address; what is secret among them goes to no other.
        """
        session = await self._session(host.tls)
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=host.connect_timeout, sock_read=self._read_timeout)
        sent = {**dict(host.headers), **headers}
        for _ in range(MAX_REDIRECTS + 1):
            try:
                response = await session.request(
                    method,
                    yarl.URL(url, encoded=True),
                    headers=sent,
                    data=data,
                    timeout=timeout,
                    proxy=_proxy(url),
                    allow_redirects=False,
                )
            except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as exc:
                raise UnreachableError(f"{method} {_show(url)}: {reason(exc)}") from exc
            if response.status not in _REDIRECTS or "Location" not in response.headers:
                try:
                    yield response
                finally:
                    response.close()
                return
            response.release()
            target = _redirected(url, response.headers["Location"])
            check_redirect(url, target)
            if urlsplit(target).netloc != urlsplit(url).netloc:
                sent = without_secrets(sent, host)
            url = target
        raise RegistryError(f"{method} {_show(url)}: more than {MAX_REDIRECTS} redirects")

    async def _session(self, tls: TLS) -> ClientSession:
        key = tls, _changed_at(tls)
        if key not in self._sessions:
            context = await asyncio.to_thread(_context, tls)
            if key not in self._sessions:  # another request may have been faster
                self._sessions[key] = _new_session(context)
        return self._sessions[key]


def _new_session(context: ssl.SSLContext) -> ClientSession:
    connector = aiohttp.TCPConnector(ssl=context, limit=0, limit_per_host=_CONNECTIONS_PER_HOST)
    return aiohttp.ClientSession(
        connector=connector,
        auto_decompress=False,
        cookie_jar=aiohttp.DummyCookieJar(),
        read_bufsize=_READ_BUFFER,
        headers={"User-Agent": USER_AGENT, "Accept-Encoding": "identity"},
    )


async def read_limited(response: ClientResponse, limit: int) -> bytes:
    """The whole body; raises LimitError past ``limit`` bytes and RegistryError when the connection breaks."""
    body = bytearray()
    try:
        while chunk := await response.content.readany():
            body += chunk
            if len(body) > limit:
                raise LimitError(f"{_show(str(response.url))}: answers with more than {limit} bytes")
    except (aiohttp.ClientError, TimeoutError, OSError) as exc:
        raise RegistryError(f"{_show(str(response.url))}: {reason(exc)}") from exc
    return bytes(body)


def check_redirect(origin: str, target: str) -> None:
    """Raise RegistryError when a server must not send this machine from ``origin`` to ``target``.

    A registry may hand over to a store elsewhere, since content is checked by its digest. It may not take TLS away,
    and a remote one may not make this machine talk to its own services or its link-local network.
    """
    try:
        before, after = urlsplit(origin), urlsplit(target)
    except ValueError as exc:
        raise RegistryError(f"redirect from {_show(origin)} to {_show(target)}: not a web address: {exc}") from exc
    if after.scheme not in ("http", "https") or not after.hostname:
        raise RegistryError(f"redirect from {_show(origin)} to {_show(target)}: not a web address")
    if before.scheme == "https" and after.scheme != "https":
        raise RegistryError(f"redirect from {_show(origin)} to {_show(target)}: refused, it would leave TLS")
    if not is_loopback(before.netloc) and _is_inside(after.hostname):
        raise RegistryError(f"redirect from {_show(origin)} to {_show(target)}: refused, it leads into this machine")


def _redirected(url: str, location: str) -> str:
    """The whole address; ``location`` as it is when it is none, for ``check_redirect`` to refuse."""
    try:
        return urljoin(url, location)
    except ValueError:
        return location


def without_secrets(headers: Mapping[str, str], host: RegistryHost) -> dict[str, str]:
    """``headers`` that another host may see: neither credentials nor what hosts.toml adds for ``host``."""
    private = _PRIVATE_HEADERS | {name.lower() for name, _ in host.headers}
    return {name: value for name, value in headers.items() if name.lower() not in private}


def _is_inside(name: str) -> bool:
    if name == "localhost":
        return True
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return False
    return address.is_loopback or address.is_link_local or address.is_unspecified


def _changed_at(tls: TLS) -> tuple[int, ...]:
    """Differs when a file was replaced: certificates are renewed while the server runs."""
    files = (*tls.ca, *(file for pair in tls.client for file in pair if file is not None))
    return tuple(file.stat().st_mtime_ns if file.exists() else 0 for file in files)


def _context(tls: TLS) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context()
        for authority in tls.ca:
            context.load_verify_locations(cafile=authority)
        for certificate, key in tls.client:
            context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as exc:
        files = ", ".join(str(path) for path in (*tls.ca, *(pair[0] for pair in tls.client)))
        raise ConfigError(f"TLS files {files}: {exc}") from exc
    if tls.skip_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _proxy(url: str) -> str | None:
    """The proxy that the environment names for ``url`` (HTTP_PROXY, HTTPS_PROXY, NO_PROXY); never for loopback."""
    parts = urlsplit(url)
    if is_loopback(parts.netloc) or urllib.request.proxy_bypass(parts.netloc):
        return None
    return urllib.request.getproxies().get(parts.scheme)


def _show(url: str) -> str:
    """The address without its query, which may hold a signature."""
    return url.partition("?")[0]


def reason(exc: BaseException) -> str:
    """What to say of an error of the network."""
    if isinstance(exc, TimeoutError):
        return "timed out"
    return str(exc) or type(exc).__name__
