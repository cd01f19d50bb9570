from __future__ import annotations

from pathlib import Path

import pytest

from crishim.core.errors import RuntimeFailedError
from crishim.drivers.oci.program import OciProgram, environment, errors_in_log, message, parse_status

pytestmark = pytest.mark.anyio

PROGRAM = OciProgram(Path("/usr/bin/crun"), Path("/run/state"))


@pytest.fixture
def failing(tmp_path: Path) -> OciProgram:
    path = tmp_path / "runc"
    path.write_text('#!/bin/sh\necho "time=\\"now\\" level=error msg=\\"out of order\\"" >&2\nexit 1\n')
    path.chmod(0o755)
    return OciProgram(path, tmp_path)


def test_a_command_comes_after_the_options() -> None:
    assert PROGRAM.command_line("start", "c1", log=Path("/log")) == (
        "/usr/bin/crun",
        "--root=/run/state",
        "--log=/log",
        "--log-format=json",
        "start",
        "c1",
    )


def test_systemd_is_an_option_of_commands_but_not_of_what_the_monitor_adds_to_its_own() -> None:
    program = OciProgram(Path("/usr/bin/runc"), Path("/run/state"), systemd_cgroup=True)
    assert program.command_line("start")[-2:] == ("--systemd-cgroup", "start")
    assert "--systemd-cgroup" not in program.options()


async def test_a_command_that_fails_tells_why(failing: OciProgram) -> None:
    with pytest.raises(RuntimeFailedError, match=r"^runc start c1: out of order$"):
        await failing.call("start", "c1", seconds=10)


@pytest.mark.parametrize(
    ("stderr", "words"),
    [
        (b"plain\n", "plain"),
        (b'time="t" level=error msg="it \\"broke\\""\n', 'it \\"broke\\"'),
        (b"one\n\n two \n", "one; two"),
        (b"\xff\n", "\ufffd"),
        (b"", ""),
    ],
)
def test_what_it_says_is_freed_from_its_wrapping(stderr: bytes, words: str) -> None:
    assert message(stderr) == words


@pytest.mark.parametrize(
    ("log", "words"),
    [
        ('{"level":"error","msg":"a"}\n{"level":"warning","msg":"b"}\n{"level":"fatal","msg":"c"}\n', "a; c"),
        ('garbage\n{"level":1}\n', ""),
        ("", ""),
    ],
)
def test_only_errors_of_a_log_are_told(log: str, words: str) -> None:
    assert errors_in_log(log) == words


def test_the_status_is_taken_from_all_that_is_told() -> None:
    assert parse_status(b'{"ociVersion": "1.0.2", "status": "running", "pid": 7}') == "running"


@pytest.mark.parametrize("answer", [b"", b"garbage", b"[]", b"{}", b'{"status": 7}', b'{"status": "\xff"}'])
def test_a_status_that_makes_no_sense_is_an_error(answer: bytes) -> None:
    with pytest.raises(RuntimeFailedError, match="was not understood"):
        parse_status(answer)


def test_little_of_our_environment_is_handed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", "/run/notify")
    monkeypatch.setenv("PATH", "/bin")
    monkeypatch.delenv("TZ", raising=False)
    assert environment() == {"PATH": "/bin"}
