"""The errors of the CNI runtime: each has the spec's code, a message and optional details.

Source: CNI specification 1.1.0, section 5 "Result types", sub-section "Error".
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any


class ErrorCode(IntEnum):
    """Well-known error codes of the CNI specification; plugins use 100 and above for their own."""

    INCOMPATIBLE_VERSION = 1
    UNSUPPORTED_FIELD = 2
    UNKNOWN_CONTAINER = 3
    INVALID_ENVIRONMENT = 4
    IO_FAILURE = 5
    DECODING_FAILURE = 6
    INVALID_NETWORK_CONFIG = 7
    TRY_AGAIN_LATER = 11
    PLUGIN_NOT_AVAILABLE = 50
    LIMITED_CONNECTIVITY = 51
    INTERNAL = 999


class CniError(Exception):
    """An operation failed; ``code`` says how, ``message`` what, ``details`` anything more.

    ``nothing_done``: it never began, so there is nothing to be undone, and a DEL could only fail in the same way.
    """

    def __init__(
        self, message: str, *, code: int = ErrorCode.INTERNAL, details: str = "", nothing_done: bool = False
    ) -> None:
        super().__init__(f"{message}: {details}" if details else message)
        self.code = int(code)
        self.message = message
        self.details = details
        self.nothing_done = nothing_done

    def to_json(self, cni_version: str) -> dict[str, Any]:
        """The error object a plugin prints on standard output."""
        body: dict[str, Any] = {"cniVersion": cni_version, "code": self.code, "msg": self.message}
        return {**body, "details": self.details} if self.details else body


class ConfigError(CniError):
    """A network configuration is not valid; the message names file, object path, found and expected."""

    def __init__(self, message: str, *, details: str = "") -> None:
        super().__init__(message, code=ErrorCode.INVALID_NETWORK_CONFIG, details=details)


class DecodeError(CniError):
    """Bytes that should be a CNI object (result, error, version reply) are not one."""

    def __init__(self, message: str, *, details: str = "") -> None:
        super().__init__(message, code=ErrorCode.DECODING_FAILURE, details=details)


class VersionError(CniError):
    """A CNI version is unknown, or the two sides share none."""

    def __init__(self, message: str, *, details: str = "") -> None:
        super().__init__(message, code=ErrorCode.INCOMPATIBLE_VERSION, details=details)


class PluginError(CniError):
    """One plugin of a chain failed.

    ``plugin`` is its type, ``verb`` the CNI verb, ``elapsed`` the seconds it ran. ``exit_code`` or
    ``signal`` say how an executable ended (both None for a built-in plugin), ``stderr`` what it said.
    ``reason`` is the message without plugin, verb and time.
    """

    def __init__(
        self,
        message: str,
        *,
        plugin: str,
        verb: str,
        code: int = ErrorCode.INTERNAL,
        details: str = "",
        elapsed: float = 0.0,
        exit_code: int | None = None,
        signal: int | None = None,
        stderr: str = "",
        nothing_done: bool = False,
    ) -> None:
        self.plugin, self.verb, self.elapsed, self.reason = plugin, verb, elapsed, message
        self.exit_code, self.signal, self.stderr = exit_code, signal, stderr
        text = f"plugin {plugin} {verb} ({elapsed * 1000:.1f} ms): {message}"
        super().__init__(text, code=code, details=details, nothing_done=nothing_done)
