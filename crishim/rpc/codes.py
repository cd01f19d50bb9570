"""Which gRPC status an error becomes. Pure."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import NamedTuple

from grpc import StatusCode

from crishim.core.errors import CrishimError

_DETAILS_LIMIT = 4000
"""Characters. A status travels in HTTP/2 headers, which clients limit, often to 8 KiB; the log has all of it."""


class Failure(NamedTuple):
    """The status to send. ``bug``: nobody foresaw the error, so its text stays in the log."""

    code: StatusCode
    message: str
    bug: bool = False

    @property
    def details(self) -> str:
        """The message as far as it fits into a status."""
        return self.message if len(self.message) <= _DETAILS_LIMIT else self.message[: _DETAILS_LIMIT - 1] + "…"


def failure_of(error: BaseException, rpc: str) -> Failure:
    """The status for ``error``; a group of errors keeps their code if they share one."""
    if isinstance(error, asyncio.CancelledError):
        return Failure(StatusCode.CANCELLED, f"{rpc} was cancelled")
    leaves = list(_leaves(error))
    known = [leaf for leaf in leaves if isinstance(leaf, CrishimError)]
    if len(known) < len(leaves):
        return Failure(StatusCode.INTERNAL, f"{rpc} failed for a reason that only the server's log tells", bug=True)
    codes = {leaf.code for leaf in known}
    code = StatusCode[codes.pop().name] if len(codes) == 1 else StatusCode.INTERNAL
    return Failure(code, "; ".join(dict.fromkeys(map(str, known))))


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for part in error.exceptions:
            yield from _leaves(part)
    else:
        yield error
