"""Which status an error becomes."""

import asyncio

import pytest
from grpc import StatusCode

from crishim.core.errors import Code, CrishimError, InvalidArgumentError, NotFoundError, UnavailableError
from crishim.rpc.codes import failure_of

MISSING, ALSO_MISSING, AWAY = NotFoundError("no a"), NotFoundError("no b"), UnavailableError("away")
HIDDEN = "rpc failed for a reason that only the server's log tells"


@pytest.mark.parametrize("code", Code)
def test_every_code_has_its_status(code: Code) -> None:
    error = CrishimError("why")
    error.code = code
    assert failure_of(error, "rpc") == (StatusCode[code.value], "why", False)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (asyncio.CancelledError(), (StatusCode.CANCELLED, "rpc was cancelled", False)),
        (ValueError("secret"), (StatusCode.INTERNAL, HIDDEN, True)),
        (ExceptionGroup("g", [MISSING]), (StatusCode.NOT_FOUND, "no a", False)),
        (ExceptionGroup("g", [MISSING, MISSING]), (StatusCode.NOT_FOUND, "no a", False)),
        (ExceptionGroup("g", [MISSING, ALSO_MISSING]), (StatusCode.NOT_FOUND, "no a; no b", False)),
        (ExceptionGroup("g", [MISSING, ExceptionGroup("h", [AWAY])]), (StatusCode.INTERNAL, "no a; away", False)),
        (ExceptionGroup("g", [MISSING, ValueError("secret")]), (StatusCode.INTERNAL, HIDDEN, True)),
    ],
)
def test_others(error: BaseException, expected: tuple[StatusCode, str, bool]) -> None:
    assert failure_of(error, "rpc") == expected


def test_a_long_message_is_cut_for_the_caller() -> None:
    failure = failure_of(InvalidArgumentError("x" * 100_000), "rpc")
    assert (len(failure.message), len(failure.details)) == (100_000, 4000)
    assert failure.details.endswith("x…")
