"""What clients are told of how a command ended."""

import json

import pytest

from crishim.streaming.remotecommand.status import Ending, encode

NON_ZERO = {
    "status": "Failure",
    "message": "command terminated with non-zero exit code 137",
    "reason": "NonZeroExitCode",
    "details": {"causes": [{"reason": "ExitCode", "message": "137"}]},
}
INTERNAL = {
    "status": "Failure",
    "message": "Internal error occurred: no such program",
    "reason": "InternalError",
    "code": 500,
}

ENDINGS = [
    (Ending(), {"status": "Success"}, ""),
    (Ending(137), NON_ZERO, "command terminated with non-zero exit code 137"),
    (Ending(error="no such program"), INTERNAL, "no such program"),
]


@pytest.mark.parametrize(("ending", "status", "text"), ENDINGS)
def test_endings(ending: Ending, status: object, text: str) -> None:
    assert json.loads(encode(ending, structured=True)) == status
    assert encode(ending, structured=False) == text.encode()
