"""The errors of crishim's domain. The RPC boundary turns each into a gRPC status by its ``code``."""

from __future__ import annotations

from enum import StrEnum


class Code(StrEnum):
    """What kind of failure it is; the names are those of the gRPC status codes."""

    INVALID_ARGUMENT = "INVALID_ARGUMENT"
    NOT_FOUND = "NOT_FOUND"
    ALREADY_EXISTS = "ALREADY_EXISTS"
    FAILED_PRECONDITION = "FAILED_PRECONDITION"
    RESOURCE_EXHAUSTED = "RESOURCE_EXHAUSTED"
    DEADLINE_EXCEEDED = "DEADLINE_EXCEEDED"
    UNAVAILABLE = "UNAVAILABLE"
    UNIMPLEMENTED = "UNIMPLEMENTED"
    UNAUTHENTICATED = "UNAUTHENTICATED"
    INTERNAL = "INTERNAL"


class CrishimError(Exception):
    """A failure with a code and a message that names the object it is about."""

    code = Code.INTERNAL


class InvalidArgumentError(CrishimError):
    """The request can never succeed as it is; the message names the field and what was expected."""

    code = Code.INVALID_ARGUMENT


def refusal(field: str, expected: str, found: object) -> InvalidArgumentError:
    """The error to raise for ``field`` of a request."""
    return InvalidArgumentError(f"{field}: expected {expected}; found {found!r}")


class NotFoundError(CrishimError):
    """The named object does not exist."""

    code = Code.NOT_FOUND


class AlreadyExistsError(CrishimError):
    """The name is taken by another object."""

    code = Code.ALREADY_EXISTS


class FailedPreconditionError(CrishimError):
    """The object is not in a state that allows the operation."""

    code = Code.FAILED_PRECONDITION


class ResourceExhaustedError(CrishimError):
    """A limit is reached; the message names it."""

    code = Code.RESOURCE_EXHAUSTED


class DeadlineError(CrishimError):
    """The operation did not end in its time."""

    code = Code.DEADLINE_EXCEEDED


class UnavailableError(CrishimError):
    """Something needed is not there now; trying again later may succeed."""

    code = Code.UNAVAILABLE


class UnimplementedError(CrishimError):
    """This server does not do that, and says so."""

    code = Code.UNIMPLEMENTED


class SystemCallError(CrishimError):
    """The kernel refused; the message names the call, its object and the errno."""


class RuntimeFailedError(CrishimError):
    """An OCI runtime or its monitor failed, or what it said makes no sense; the message is what it said."""


class ConfigError(CrishimError):
    """The configuration is not valid; the message names file, key path, found and expected."""

    code = Code.INVALID_ARGUMENT


def explain(error: BaseException) -> str:
    """One line that says what went wrong, for a log or a record: of a group, every member."""
    if isinstance(error, BaseExceptionGroup):
        return "; ".join(dict.fromkeys(explain(member) for member in error.exceptions))
    return str(error) or type(error).__name__
