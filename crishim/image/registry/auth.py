"""Answering a registry's 401: basic credentials, or a bearer token fetched from the realm it names.

Source: Docker registry token authentication; OAuth 2 variant for identity tokens.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Callable
from urllib.parse import urlencode, urlsplit

import msgspec
from msgspec import Struct

from crishim.image.errors import RegistryError, UnauthenticatedError
from crishim.image.registry.challenge import Challenge, parse_challenges
from crishim.image.registry.hosts import RegistryHost
from crishim.image.registry.transport import Transport, read_limited
from crishim.image.settings import Credentials

CredentialsFor = Callable[[str], Credentials | None]

_CLIENT_ID = "crishim"
_MAX_ANSWER = 64 << 10
_DEFAULT_LIFETIME = 60.0
_MARGIN = 5.0


class _Token(Struct):
    token: str = ""
    access_token: str = ""
    expires_in: float = _DEFAULT_LIFETIME


class Authorizer:
    """Remembers, for the length of one pull, what each host wanted to see."""

    def __init__(self, transport: Transport, credentials_for: CredentialsFor) -> None:
        self._transport, self._credentials_for = transport, credentials_for
        self._headers: dict[tuple[str, str], tuple[str, float]] = {}

    def header(self, host: RegistryHost, scope: str) -> str | None:
        """The Authorization value that worked for ``scope`` at ``host`` last time, while it is valid."""
        value, expires = self._headers.get((host.base, scope), ("", 0.0))
        return value if time.monotonic() < expires else None

    async def answer(self, host: RegistryHost, scope: str, www_authenticate: str) -> str:
        """The Authorization value for a 401 with this header.

        Raises UnauthenticatedError when the host offers nothing this program can answer, or the realm refuses.
        """
        credentials = self._credentials_for(host.host)
        if credentials is not None and credentials.registry_token:
            return self._keep(host, scope, f"Bearer {credentials.registry_token}", float("inf"))
        for challenge in parse_challenges(www_authenticate):
            if challenge.scheme == "bearer" and challenge.realm:
                token = await self._fetch(host, challenge, scope, credentials)
                lifetime = max(token.expires_in, _DEFAULT_LIFETIME) - _MARGIN
                return self._keep(host, scope, f"Bearer {token.token or token.access_token}", lifetime)
            if challenge.scheme == "basic" and credentials is not None and credentials.username:
                return self._keep(host, scope, _basic(credentials), float("inf"))
        raise UnauthenticatedError(f"registry {host.host}: wants credentials, and there are none for it")

    def _keep(self, host: RegistryHost, scope: str, value: str, lifetime: float) -> str:
        self._headers[host.base, scope] = value, time.monotonic() + lifetime
        return value

    async def _fetch(
        self, host: RegistryHost, challenge: Challenge, scope: str, credentials: Credentials | None
    ) -> _Token:
        parameters = {"service": challenge.service, "scope": challenge.scope or scope}
        parameters = {key: value for key, value in parameters.items() if value}
        realm = RegistryHost(urlsplit(challenge.realm).scheme, urlsplit(challenge.realm).netloc, tls=host.tls)
        if credentials is not None and credentials.identity_token:
            form = {"grant_type": "refresh_token", "refresh_token": credentials.identity_token, "client_id": _CLIENT_ID}
            return await self._ask(host, "POST", challenge.realm, realm, {}, {**form, **parameters})
        headers = {"Authorization": _basic(credentials)} if credentials is not None and credentials.username else {}
        joint = "&" if "?" in challenge.realm else "?"
        return await self._ask(host, "GET", f"{challenge.realm}{joint}{urlencode(parameters)}", realm, headers, None)

    async def _ask(
        self,
        host: RegistryHost,
        method: str,
        url: str,
        realm: RegistryHost,
        headers: dict[str, str],
        form: dict[str, str] | None,
    ) -> _Token:
        async with self._transport.request(method, url, realm, headers, form, origin=host.base) as response:
            body = await read_limited(response, _MAX_ANSWER)
            if response.status in (401, 403):
                raise UnauthenticatedError(f"token server {realm.host}: refuses the credentials ({response.status})")
            if response.status != 200:
                raise RegistryError(f"token server {realm.host}: answered {response.status}")
        try:
            token = msgspec.json.decode(body, type=_Token)
        except (msgspec.DecodeError, RecursionError) as exc:
            raise RegistryError(f"token server {realm.host}: its answer is not a token: {exc}") from exc
        if not (token.token or token.access_token):
            raise RegistryError(f"token server {realm.host}: its answer has no token in it")
        return token


def _basic(credentials: Credentials) -> str:
    pair = f"{credentials.username}:{credentials.password}"
    return f"Basic {base64.b64encode(pair.encode()).decode()}"
