"""How a command ended, as clients are told on the error channel.

From version 4 of the protocol on that is a Kubernetes ``Status`` object; before, plain text, and only of failures.
"""

from __future__ import annotations

import msgspec
from msgspec import Struct


class Ending(Struct, frozen=True):
    """``error`` is why the streams could not be served; else the command ended with ``exit_code``."""

    exit_code: int = 0
    error: str = ""

    @property
    def message(self) -> str:
        """What went wrong; empty when nothing did."""
        if self.error or not self.exit_code:
            return self.error
        return f"command terminated with non-zero exit code {self.exit_code}"


class _Cause(Struct, frozen=True):
    reason: str
    message: str


class _Details(Struct, frozen=True):
    causes: tuple[_Cause, ...]


class _Status(Struct, frozen=True, omit_defaults=True):
    status: str
    message: str = ""
    reason: str = ""
    details: _Details | None = None
    code: int = 0


def encode(ending: Ending, *, structured: bool) -> bytes:
    """What to write to the error channel; ``structured`` from version 4 on."""
    return msgspec.json.encode(_status(ending)) if structured else ending.message.encode()


def _status(ending: Ending) -> _Status:
    if ending.error:
        return _Status("Failure", f"Internal error occurred: {ending.error}", "InternalError", code=500)
    if ending.exit_code:
        details = _Details((_Cause("ExitCode", str(ending.exit_code)),))
        return _Status("Failure", ending.message, "NonZeroExitCode", details)
    return _Status("Success")
