"""How a stream can end before its time."""

from __future__ import annotations

from crishim.core.errors import Code, CrishimError


class PeerGoneError(CrishimError):
    """The connection to the client is over; nobody is there to be told."""

    code = Code.UNAVAILABLE


class StreamResetError(CrishimError):
    """One stream of a connection is over, at the wish of either side."""

    code = Code.UNAVAILABLE


class TooManyTokensError(CrishimError):
    """More URLs were asked for than are being used; some expire within a minute."""

    code = Code.RESOURCE_EXHAUSTED
