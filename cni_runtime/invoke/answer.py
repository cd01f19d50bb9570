"""What the end of an executable plugin means: its answer, or the error that says all that is known. Pure.

Source: CNI specification 1.1.0, sections 2 "Execution Protocol" and 5 "Result Types".
"""

from __future__ import annotations

import errno
import signal
from pathlib import Path
from typing import Any

import msgspec

from cni_runtime.call import PluginCall, Verb
from cni_runtime.errors import ErrorCode, PluginError
from cni_runtime.invoke.process import Ended, Killed, Limits

_EXCERPT = 400  # characters
_MAX_CODE = 2**32 - 1  # an unsigned number, says the specification; not every caller can read a longer one
_ANSWERING = frozenset({Verb.ADD, Verb.VERSION})


class _ErrorObject(msgspec.Struct):
    """The error object of a plugin; ``msg`` is what distinguishes it from any other JSON."""

    msg: str
    code: int = 0
    details: str = ""


def interpret(call: PluginCall, ended: Ended, limits: Limits) -> dict[str, Any] | None:
    """The object that the plugin answered with, None for verbs without one.

    Raises PluginError when it failed, or when its answer is none (code DECODING_FAILURE).
    """
    if ended.killed is Killed.TIMEOUT:
        raise _failure(call, ended, f"did not end within {limits.timeout:g} s and was killed", _said(ended))
    if ended.killed is Killed.OUTPUT:
        raise _undecodable(call, ended, f"printed more than {limits.stdout} bytes and was killed")
    if ended.status != 0:
        raise _error_of(call, ended)
    if call.verb not in _ANSWERING:
        return None
    try:
        answer = msgspec.json.decode(ended.stdout)
    except (msgspec.MsgspecError, RecursionError) as exc:
        raise _undecodable(call, ended, f"answered with no JSON ({exc})") from exc
    if not isinstance(answer, dict):
        raise _undecodable(call, ended, "answered with JSON that is no object")
    return answer


def start_failure(call: PluginCall, program: Path, cause: OSError) -> PluginError:
    """The error for a program that the system would not start."""
    reasons = {
        errno.EACCES: "permission denied: not executable, or on a file system mounted noexec",
        errno.ENOENT: "it is gone, or the interpreter named in its first line does not exist",
        errno.ENOEXEC: "neither a program for this machine nor a script with a #! line",
        errno.ETXTBSY: "it is open for writing, probably being replaced",
    }
    reason = reasons.get(cause.errno or 0, cause.strerror or str(cause))
    code = ErrorCode.TRY_AGAIN_LATER if cause.errno == errno.ETXTBSY else ErrorCode.IO_FAILURE
    never_ran = cause.errno in reasons  # other errors may have been the watching's, after the start
    message = f"cannot run {program}: {reason}"
    return PluginError(message, plugin=call.type, verb=call.verb, code=code, nothing_done=never_ran)


def _error_of(call: PluginCall, ended: Ended) -> PluginError:
    """The error for a plugin that failed: in its own words if it has any."""
    try:
        error = msgspec.json.decode(ended.stdout, type=_ErrorObject)
    except (msgspec.MsgspecError, RecursionError):
        error = None
    if error is not None:
        code = error.code if 0 < error.code <= _MAX_CODE else ErrorCode.INTERNAL
        return _failure(call, ended, error.msg, error.details, code)
    if ended.stdout.strip():
        return _undecodable(call, ended, f"{_how(ended)} and printed no CNI error")
    return _failure(call, ended, f"{_how(ended)} without an error message", _said(ended))


def _undecodable(call: PluginCall, ended: Ended, message: str) -> PluginError:
    details = "; ".join(part for part in (f"stdout: {_excerpt(ended.stdout)}", _said(ended)) if part)
    return _failure(call, ended, message, details, ErrorCode.DECODING_FAILURE)


def _failure(call: PluginCall, ended: Ended, message: str, details: str, code: int = ErrorCode.INTERNAL) -> PluginError:
    return PluginError(
        message,
        plugin=call.type,
        verb=call.verb,
        code=code,
        details=details,
        elapsed=ended.elapsed,
        exit_code=ended.status if ended.status >= 0 else None,
        signal=-ended.status if ended.status < 0 else None,
        stderr=ended.stderr.decode(errors="backslashreplace"),
    )


def _how(ended: Ended) -> str:
    if ended.status >= 0:
        return f"exited with status {ended.status}"
    try:
        return f"died of {signal.Signals(-ended.status).name}"
    except ValueError:  # a real-time signal
        return f"died of signal {-ended.status}"


def _said(ended: Ended) -> str:
    """The end of standard error, or nothing."""
    text = ended.stderr[-_EXCERPT:].decode(errors="backslashreplace").strip()
    return f"stderr: {text}" if text else ""


def _excerpt(data: bytes) -> str:
    text = data[:_EXCERPT].decode(errors="backslashreplace").strip()
    return f"{text!r}…" if len(data) > _EXCERPT else repr(text)
