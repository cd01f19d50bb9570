from __future__ import annotations

import pytest

from crishim.core.errors import RuntimeFailedError
from crishim.drivers.conmon.report import parse_report


def test_a_process_id_is_taken() -> None:
    assert parse_report(b'{"data": 4711}\n') == 4711


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b"", "ended without a report"),
        (b"\n", "ended without a report"),
        (b"garbage\n", "not understood: 'garbage'"),
        (b"[1]\n", "not understood"),
        (b"7\n", "not understood"),
        (b'{"pid": 7}\n', "not understood"),
        (b'{"data": "7"}\n', "not understood"),
        (b'{"data": true}\n', "not understood"),
        (b'{"data": 7.5}\n', "not understood"),
        (b'{"data": -1, "message": "no such command\\n"}\n', "^no such command$"),
        (b'{"data": -1, "message": "bell \x07 and \xff"}\n', "bell"),
        (b'{"data": -1}\n', "gave -1 as the id"),
        (b'{"data": 0}\n', "gave 0 as the id"),
        (b'{"data": 1}\n', "gave 1 as the id"),
    ],
)
def test_everything_else_is_an_error(line: bytes, words: str) -> None:
    with pytest.raises(RuntimeFailedError, match=words):
        parse_report(line)
