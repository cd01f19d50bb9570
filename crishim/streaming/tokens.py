"""Tokens: who knows one may have, once and soon, what was asked for when it was made."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import TypeVar

from crishim.core.clock import monotonic
from crishim.core.errors import NotFoundError
from crishim.model.stream import AttachStream, ExecStream, PortForwardStream
from crishim.streaming.errors import TooManyTokensError

LIFETIME = 60.0
"""Seconds."""

LIMIT = 1000
"""Tokens that wait to be used."""

_BYTES = 32

Request = ExecStream | AttachStream | PortForwardStream
RequestT = TypeVar("RequestT", ExecStream, AttachStream, PortForwardStream)


class TokenStore:
    """The tokens that were made and neither used nor expired. ``clock`` tells seconds."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._entries: dict[str, tuple[float, Request]] = {}  # oldest first, so those that expire first come first

    def make(self, request: Request) -> str:
        """A new token for ``request``; raises TooManyTokensError."""
        self._drop_expired()
        if len(self._entries) >= LIMIT:
            raise TooManyTokensError(f"{LIMIT} streaming URLs wait to be used; each expires within {LIFETIME:g} s")
        token = secrets.token_urlsafe(_BYTES)
        self._entries[token] = self._clock() + LIFETIME, request
        return token

    def find(self, token: str, kind: type[RequestT]) -> RequestT:
        """What ``token`` was made for, without using it up. Raises NotFoundError, see ``take``."""
        self._drop_expired()
        _, request = self._entries.get(token, (0.0, None))
        if not isinstance(request, kind):
            raise NotFoundError("no such stream: a streaming URL can be used once, within a minute")
        return request

    def take(self, token: str, kind: type[RequestT]) -> RequestT:
        """What ``token`` was made for, once. Raises NotFoundError for one that is wrong, used or expired.

        One that is for another kind of request is not used up by that.
        """
        request = self.find(token, kind)
        del self._entries[token]
        return request

    def _drop_expired(self) -> None:
        now = self._clock()
        while self._entries:
            token, (expires, _) = next(iter(self._entries.items()))
            if expires > now:
                return
            del self._entries[token]
