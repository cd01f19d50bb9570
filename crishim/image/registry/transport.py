"""Connections to registry hosts, and one request on them: TLS, proxies, redirects, time-outs."""

from __future__ import annotations

import asyncio
import ipaddress
import ssl
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from urllib.parse import urljoin, urlsplit

import aiohttp
import yarl
from aiohttp import ClientResponse, ClientSession
from aiohttp.connector import Connection

from crishim.core.errors import ConfigError
from crishim.image.errors import LimitError, RegistryError, UnreachableError
from crishim.image.registry.hosts import TLS, RegistryHost, is_loopback
from crishim.image.registry.inside import OutsideResolver, is_inside
from crishim.image.registry.proxy import proxy_for

MAX_REDIRECTS = 5
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_READ_BUFFER = 512 << 10
_CONNECTIONS_PER_HOST = 16
_USUAL_PORTS = {"http": 80, "https": 443}
_PRIVATE_HEADERS = frozenset({"authorization", "cookie", "proxy-authorization"})
USER_AGENT = "crishim"


class Transport:
    """Keeps connections for each way to do TLS, with the files it needs as they are now. Close it when done.

    Those that a server elsewhere sent this machine to are kept apart: they must not lead inside, see ``inside``.
    """

    def __init__(self, *, read_timeout: float = 60.0) -> None:
        """``read_timeout``: seconds without a byte after which a connection counts as broken."""
        self._read_timeout = read_timeout
        self._sessions: dict[TLS, _Sessions] = {}
        self._local: set[str] = set()  # hosts that answered on loopback the last time

    async def aclose(self) -> None:
        """Close every connection."""
        every, self._sessions = list(self._sessions.values()), {}
        for sessions in every:
            await sessions.aclose()

    @asynccontextmanager
    async def request(
        self,
        method: str,
        url: str,
        host: RegistryHost,
        headers: Mapping[str, str],
        data: Mapping[str, str] | None = None,
        *,
        origin: str = "",
    ) -> AsyncIterator[ClientResponse]:
        """The answer to one request, after redirects. Raises UnreachableError, and RegistryError for a bad redirect.

        ``headers`` and those of ``host`` go to the first address; what is secret among them goes to no other host, nor
        does the form ``data``.
        ``origin`` is whose server has named ``url``, which then is as good as a redirect.
        """
        if origin:
            check_redirect(origin, url)
        is_led = False
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=host.connect_timeout, sock_read=self._read_timeout)
        sent = _together(host, headers)
        async with self._using(host.tls) as sessions:
            for _ in range(MAX_REDIRECTS + 1):
                is_led = is_led or self._leads(origin, url)
                proxy = proxy_for(url)
                session = sessions.outside if is_led and proxy is None else sessions.anywhere
                try:
                    response = await session.request(
                        method,
                        yarl.URL(url, encoded=True),
                        headers=sent,
                        data=data,
                        timeout=timeout,
                        proxy=proxy,
                        allow_redirects=False,
                    )
                except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as exc:
                    raise UnreachableError(f"{method} {_show(url)}: {reason(exc)}") from exc
                self._note(url, is_local=proxy is None and isinstance(response, _Response) and response.is_local)
                if response.status not in _REDIRECTS or "Location" not in response.headers:
                    try:
                        yield response
                    finally:
                        response.close()
                    return
                response.release()
                target = _redirected(url, response.headers["Location"])
                check_redirect(url, target)
                if _server(target) != _server(url):
                    if data is not None:
                        raise RegistryError(f"{method} {_show(url)}: a form is not taken to {_show(target)}")
                    sent = without_secrets(sent, host)
                origin, url = url, target
        raise RegistryError(f"{method} {_show(url)}: more than {MAX_REDIRECTS} redirects")

    def _leads(self, origin: str, url: str) -> bool:
        """Whether a server elsewhere has chosen where to connect to next; ``origin`` is empty when none has."""
        before = urlsplit(origin).netloc
        return bool(before) and before != urlsplit(url).netloc and not is_loopback(before) and before not in self._local

    def _note(self, url: str, *, is_local: bool) -> None:
        (self._local.add if is_local else self._local.discard)(urlsplit(url).netloc)

    @asynccontextmanager
    async def _using(self, tls: TLS) -> AsyncIterator[_Sessions]:
        """The sessions for ``tls`` with its files as they are now; those with former files are given up."""
        changed_at, former = _changed_at(tls), None
        sessions = self._sessions.get(tls)
        if sessions is None or sessions.changed_at != changed_at:
            context = await asyncio.to_thread(_context, tls)
            sessions = self._sessions.get(tls)  # another request may have been faster
            if sessions is None or sessions.changed_at != changed_at:
                former, sessions = sessions, _Sessions(changed_at, context)
                self._sessions[tls] = sessions
        sessions.users += 1
        try:
            if former is not None:
                await former.release()
            yield sessions
        finally:
            await sessions.release()


class _Sessions:
    """Connections with one TLS context. ``outside``: those that do not lead inside.

    ``users`` are the requests that run and the transport itself; the last of them closes the connections.
    """

    def __init__(self, changed_at: tuple[int, ...], context: ssl.SSLContext) -> None:
        self.changed_at, self.users = changed_at, 1
        self.anywhere, self.outside = _new_session(context), _new_session(context, OutsideResolver())

    async def release(self) -> None:
        self.users -= 1
        if not self.users:
            await self.aclose()

    async def aclose(self) -> None:
        await self.anywhere.close()
        await self.outside.close()


class _Response(ClientResponse):
    """Knows where it came from, when its connection has been given back as well."""

    is_local = False

    async def start(self, connection: Connection) -> ClientResponse:
        if connection.transport is not None and (peer := connection.transport.get_extra_info("peername")):
            self.is_local = ipaddress.ip_address(peer[0]).is_loopback
        return await super().start(connection)


def _new_session(context: ssl.SSLContext, resolver: OutsideResolver | None = None) -> ClientSession:
    connector = aiohttp.TCPConnector(ssl=context, resolver=resolver, limit=0, limit_per_host=_CONNECTIONS_PER_HOST)
    return aiohttp.ClientSession(
        connector=connector,
        response_class=_Response,
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
    and a remote one may not make this machine talk to its own services or its link-local network. Names that have to
    be looked up for that are refused when they are, see ``OutsideResolver``.
    """
    try:
        before, after = urlsplit(origin), urlsplit(target)
        _server(target)  # a port may be none
    except ValueError as exc:
        raise RegistryError(f"redirect from {_show(origin)} to {_show(target)}: not a web address: {exc}") from exc
    if after.scheme not in ("http", "https") or not after.hostname:
        raise RegistryError(f"redirect from {_show(origin)} to {_show(target)}: not a web address")
    if before.scheme == "https" and after.scheme != "https":
        raise RegistryError(f"redirect from {_show(origin)} to {_show(target)}: refused, it would leave TLS")
    if not is_loopback(before.netloc) and is_inside(after.hostname):
        raise RegistryError(f"redirect from {_show(origin)} to {_show(target)}: refused, it leads into this machine")


def _redirected(url: str, location: str) -> str:
    """The whole address; ``location`` as it is when it is none, for ``check_redirect`` to refuse."""
    try:
        return urljoin(url, location)
    except ValueError:
        return location


def _server(url: str) -> tuple[str | None, int | None]:
    """The host of a web address and its port, if that is not the usual one."""
    parts = urlsplit(url)
    return parts.hostname, None if parts.port == _USUAL_PORTS.get(parts.scheme) else parts.port


def _together(host: RegistryHost, headers: Mapping[str, str]) -> list[tuple[str, str]]:
    """What hosts.toml adds, which may have several values, and ``headers``, which win."""
    ours = {name.lower() for name in headers}
    return [*((name, value) for name, value in host.headers if name.lower() not in ours), *headers.items()]


def without_secrets(headers: Iterable[tuple[str, str]], host: RegistryHost) -> list[tuple[str, str]]:
    """``headers`` that another host may see: neither credentials nor what hosts.toml adds for ``host``."""
    private = _PRIVATE_HEADERS | {name.lower() for name, _ in host.headers}
    return [(name, value) for name, value in headers if name.lower() not in private]


def _changed_at(tls: TLS) -> tuple[int, ...]:
    """Differs when a file was replaced: certificates are renewed while the server runs."""
    files = (*tls.ca, *(file for pair in tls.client for file in pair if file is not None))
    return tuple(file.stat().st_mtime_ns if file.exists() else 0 for file in files)


def _context(tls: TLS) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context()
        # Python 3.13 sets it. Authorities of one's own are often made without the extensions that it asks for, which
        # no other runtime does.
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
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


def _show(url: str) -> str:
    """The address without its query, which may hold a signature."""
    return url.partition("?")[0]


def reason(exc: BaseException) -> str:
    """What to say of an error of the network."""
    if isinstance(exc, TimeoutError):
        return "timed out"
    return str(exc) or type(exc).__name__
