"""Whose credentials go to which host: those of the request, else those of the configuration. Pure."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

from msgspec import Struct

from crishim.core.errors import InvalidArgumentError
from crishim.image.settings import Credentials

_DOCKER_HUB = frozenset({"docker.io", "index.docker.io", "registry-1.docker.io"})


class RequestAuth(Struct, frozen=True):
    """What a caller of PullImage sent. ``auth`` is base64 of ``user:password``; the other forms win over it.

    Source: CRI v1 ``AuthConfig``.
    """

    username: str = ""
    password: str = ""
    auth: str = ""
    server_address: str = ""
    identity_token: str = ""
    registry_token: str = ""

    def __repr__(self) -> str:
        return f"RequestAuth(username={self.username!r}, server_address={self.server_address!r})"


def credentials_for(
    request: RequestAuth | None, configured: Mapping[str, Credentials]
) -> Callable[[str], Credentials | None]:
    """A function from a host to what it may be shown. With a server address, the request's go to that host only.

    Raises InvalidArgumentError when ``request.auth`` is not what it should be.
    """
    sent = None if request is None else credentials_of(request)
    address = "" if request is None else _host_of(request.server_address)

    def choose(host: str) -> Credentials | None:
        if sent is not None and (not address or _same(address, host)):
            return sent
        return next((value for name, value in configured.items() if _same(_host_of(name), host)), None)

    return choose


def credentials_of(request: RequestAuth) -> Credentials | None:
    """What a request brings; None when it brings nothing. Raises InvalidArgumentError when ``auth`` is no pair."""
    username, password = request.username, request.password
    if not username and request.auth:
        username, password = _decode(request.auth)
    found = Credentials(username, password, request.identity_token, request.registry_token)
    return None if found == Credentials() else found


def _decode(auth: str) -> tuple[str, str]:
    try:
        username, colon, password = base64.b64decode(auth, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        colon = ""
    if not colon:
        raise InvalidArgumentError("auth.auth: expected base64 of user:password")
    return username, password.strip("\0")


def _host_of(address: str) -> str:
    return urlsplit(address if "://" in address else f"//{address}").netloc


def _same(one: str, other: str) -> bool:
    return one == other or (one in _DOCKER_HUB and other in _DOCKER_HUB)
