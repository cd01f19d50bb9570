"""What a pull asks registries for: which digest a name has, a manifest or configuration, a layer.

Each is asked of the hosts of the name in turn; a host that fails, lies or does not have it is passed over for the next.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import structlog

from crishim.core.errors import CrishimError, NotFoundError
from crishim.image.digest import Digest, check, digest_of, is_digest
from crishim.image.errors import ContentError, RegistryError, UnauthenticatedError, UnreachableError
from crishim.image.reference import Reference
from crishim.image.registry.auth import Authorizer
from crishim.image.registry.hosts import PULL, RESOLVE, RegistryHost
from crishim.image.registry.retry import Backoff, is_temporary, retry_after
from crishim.image.registry.transport import Transport, read_limited
from crishim.image.types import ACCEPT, ContentKind

if TYPE_CHECKING:
    from aiohttp import ClientResponse

T = TypeVar("T")

_log = structlog.get_logger(__name__)


class TemporaryError(RegistryError):
    """The same host may answer better after ``pause`` seconds (None: it did not say)."""

    def __init__(self, message: str, pause: float | None = None) -> None:
        super().__init__(message)
        self.pause = pause


class MethodError(RegistryError):
    """The host does not answer requests of this method."""


@dataclass(frozen=True)
class Document:
    """A manifest, index or configuration as it was served, with its digest."""

    body: bytes
    digest: Digest


class RegistryClient:
    """The requests of one pull: one name, one set of credentials."""

    def __init__(
        self,
        transport: Transport,
        authorizer: Authorizer,
        reference: Reference,
        hosts: Sequence[RegistryHost],
        *,
        backoff: Backoff,
        max_document_bytes: int,
    ) -> None:
        self._transport, self._authorizer, self._reference = transport, authorizer, reference
        self._hosts, self._backoff, self._max_document = tuple(hosts), backoff, max_document_bytes
        self._scope = f"repository:{reference.path}:pull"

    async def resolve(self) -> Digest | Document:
        """What the name stands for now: the digest, or the document itself where the host does not tell the digest."""
        if self._reference.digest is not None:
            return self._reference.digest
        return await self.on_each_host(RESOLVE, self._resolve_at)

    async def confirm(self) -> None:
        """Ask for the digest of the name although its content is known: not everybody may have it."""
        await self.on_each_host(PULL, self._resolve_at)

    async def document(self, kind: ContentKind, digest: Digest, size: int | None = None) -> Document:
        """The document ``digest``, checked. ``size``: the bytes it must have."""
        return await self.on_each_host(PULL, lambda host: self._document_at(host, kind, digest, size))

    async def on_each_host(self, capability: str, ask: Callable[[RegistryHost], Awaitable[T]]) -> T:
        """The first answer that ``ask`` gets, from the hosts with ``capability`` in order.

        Raises NotFoundError when every host says so, the only error when there is one, else RegistryError with all.
        """
        hosts = [host for host in self._hosts if capability in host.capabilities]
        if not hosts:
            raise RegistryError(f"{self._reference.domain}: hosts.toml names no host to {capability} from")
        failures: list[CrishimError] = []
        for host in hosts:
            if host.is_fallback and failures and not isinstance(failures[-1], UnreachableError):
                continue
            try:
                return await self._persist(host, ask, is_last=host is hosts[-1])
            except CrishimError as exc:
                failures.append(exc)
                _log.info("image.host_failed", host=host.host, error=str(exc))
        raise summary(failures, str(self._reference))

    async def _persist(self, host: RegistryHost, ask: Callable[[RegistryHost], Awaitable[T]], *, is_last: bool) -> T:
        """Ask until it works, fails for good, or has failed often enough: at once when the host is not to be had."""
        attempt = 1
        while True:
            try:
                return await ask(host)
            except TemporaryError as exc:
                if attempt >= self._backoff.attempts:
                    raise
                pause = self._backoff.pause(attempt) if exc.pause is None else exc.pause
            except RegistryError:
                if not is_last or attempt >= self._backoff.attempts:
                    raise
                pause = self._backoff.pause(attempt)
            await asyncio.sleep(pause)
            attempt += 1

    @asynccontextmanager
    async def request(
        self, method: str, host: RegistryHost, kind: ContentKind, name: str, **headers: str
    ) -> AsyncIterator[ClientResponse]:
        """A good answer (2xx) for ``name`` at ``host``; authenticates when asked to.

        Raises NotFoundError, UnauthenticatedError, MethodError, TemporaryError for what may pass, RegistryError for the
        rest.
        """
        url = f"{host.base}/{self._reference.path}/{kind}/{name}"
        if host.is_proxy_for(self._reference.domain):
            url += f"?ns={self._reference.domain}"
        for is_second in (False, True):
            sent = {key.replace("_", "-"): value for key, value in headers.items()}
            if (known := self._authorizer.header(host, self._scope)) is not None:
                sent["Authorization"] = known
            async with self._transport.request(method, url, host, sent) as response:
                if response.status != 401 or is_second:
                    _raise_for(response, host, f"{self._reference.repository} {kind} {name}")
                    yield response
                    return
                challenge = ", ".join(response.headers.getall("WWW-Authenticate", []))
            await self._authorizer.answer(host, self._scope, challenge)

    async def _resolve_at(self, host: RegistryHost) -> Digest | Document:
        name, digest = self._reference.wanted, ""
        with suppress(MethodError):
            async with self.request("HEAD", host, "manifests", name, Accept=ACCEPT) as response:
                told = response.headers.get("Docker-Content-Digest", "")
                digest = self._reference.digest or told
        if is_digest(digest):
            return Digest(digest)
        return await self._document_at(host, "manifests", name, None)

    async def _document_at(self, host: RegistryHost, kind: ContentKind, name: str, size: int | None) -> Document:
        async with self.request("GET", host, kind, name, Accept=ACCEPT if kind == "manifests" else "*/*") as response:
            body = await read_limited(response, self._max_document)
            promised = response.headers.get("Docker-Content-Digest", "")
        expected = Digest(name) if is_digest(name) else Digest(promised) if is_digest(promised) else digest_of(body)
        try:
            check(body, expected, size)
        except ContentError as exc:
            raise ContentError(f"registry {host.host}: {exc}") from exc
        return Document(body, expected)


def summary(failures: Sequence[CrishimError], name: str) -> CrishimError:
    """One error for what several hosts said; its kind is that of the hosts that said anything, if they agree."""
    if len(failures) == 1:
        return failures[0]
    text = f"{name}: no host could serve it: " + "; ".join(str(failure) for failure in failures)
    kinds = {type(failure) for failure in failures if not isinstance(failure, UnreachableError)}
    return kinds.pop()(text) if len(kinds) == 1 else RegistryError(text)


def _raise_for(response: ClientResponse, host: RegistryHost, what: str) -> None:
    status = response.status
    if 200 <= status < 300:
        return
    message = f"registry {host.host}: {what}: {status} {response.reason or ''}".rstrip()
    if status == 404:
        raise NotFoundError(message)
    if status in (401, 403):
        raise UnauthenticatedError(message)
    if status == 405:
        raise MethodError(message)
    if status == 400 and host.scheme == "http":
        raise UnreachableError(f"{message} (what a server answers that wants TLS)")
    if is_temporary(status):
        raise TemporaryError(message, retry_after(response.headers.get("Retry-After")))
    raise RegistryError(message)
