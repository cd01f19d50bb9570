from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from enum import StrEnum
from typing import Any

import pytest
import structlog

from crishim.core.logs import PlainRenderer, configure


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


@pytest.fixture
def stream() -> io.StringIO:
    return io.StringIO()


def records(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_json_records_have_time_level_logger_message_and_values(stream: io.StringIO) -> None:
    configure("info", "json", stream)
    structlog.get_logger("crishim.x").info("made", netns="/run/netns/a")
    (record,) = records(stream)
    assert record.pop("time").endswith("Z")
    assert record == {"level": "info", "logger": "crishim.x", "msg": "made", "netns": "/run/netns/a"}


def test_library_records_go_the_same_way(stream: io.StringIO) -> None:
    configure("info", "json", stream)
    with structlog.contextvars.bound_contextvars(rpc="RunPodSandbox", sandbox="abc"):
        logging.getLogger("cni_runtime.x").warning("plugin %s", "bridge", extra={"verb": "ADD"})
    (record,) = records(stream)
    assert (record["msg"], record["level"], record["logger"]) == ("plugin bridge", "warning", "cni_runtime.x")
    assert (record["rpc"], record["sandbox"], record["verb"]) == ("RunPodSandbox", "abc", "ADD")


def test_what_is_bound_ends_with_its_block(stream: io.StringIO) -> None:
    configure("info", "json", stream)
    with structlog.contextvars.bound_contextvars(rpc="Status"):
        structlog.get_logger("x").info("in")
    structlog.get_logger("x").info("out")
    assert ["rpc" in record for record in records(stream)] == [True, False]


@pytest.mark.parametrize("logger", [structlog.get_logger("x"), logging.getLogger("x")])
@pytest.mark.parametrize("fmt", ["json", "console"])
def test_an_exception_is_written_with_its_trace(stream: io.StringIO, fmt: str, logger: logging.Logger) -> None:
    configure("info", fmt, stream)
    try:
        raise ValueError("broken")
    except ValueError:
        logger.exception("bad")
    assert "Traceback" in stream.getvalue()
    assert "ValueError: broken" in stream.getvalue()


def test_records_below_the_level_are_dropped(stream: io.StringIO) -> None:
    configure("warning", "json", stream)
    structlog.get_logger("x").info("a")
    logging.getLogger("y").info("b")
    assert records(stream) == []


def test_a_second_configuration_replaces_the_first(stream: io.StringIO) -> None:
    configure("info", "json", io.StringIO())
    configure("info", "console", stream)
    structlog.get_logger("x").info("made", sandbox="abc")
    assert "made" in stream.getvalue()
    assert "sandbox=abc" in stream.getvalue()
    assert stream.getvalue().count("\n") == 1


def test_a_logger_without_a_name_has_that_of_the_module_that_uses_it(stream: io.StringIO) -> None:
    configure("info", "json", stream)
    structlog.get_logger().info("a")
    assert records(stream)[0]["logger"] == __name__


def test_what_can_not_be_written_harms_nobody(stream: io.StringIO, capsys: pytest.CaptureFixture[str]) -> None:
    configure("info", "json", stream)
    stream.close()
    structlog.get_logger("x").info("made", netns="/run/netns/a")
    assert "I/O operation on closed file" in (told := capsys.readouterr().err)
    assert "/run/netns/a" in told


class _Kind(StrEnum):
    ONE = "one"


def _ended() -> ValueError:
    try:
        raise ValueError("broken")
    except ValueError as error:
        return error


@pytest.mark.parametrize(
    "values",
    [
        pytest.param({}, id="nothing"),
        pytest.param({"b": "plain", "a": "", "c": "two words", "d": "x='y'\n"}, id="strings, sorted"),
        pytest.param({"ms": 1.5, "none": None, "kind": _Kind.ONE, "list": ["a", _Kind.ONE]}, id="others"),
        pytest.param({"event": "long enough to need no padding at all"}, id="a long event"),
        pytest.param({"event": ""}, id="no event"),
        pytest.param({"event": ValueError("an object")}, id="an event that is no string"),
        pytest.param({"level": "critical", "logger_name": "x"}, id="a second logger"),
        pytest.param({"exc_info": _ended(), "a": 1}, id="an exception"),
        pytest.param({"exc_info": None, "stack": "of calls"}, id="a stack"),
    ],
)
def test_a_plain_line_is_that_of_the_console_renderer(values: dict[str, Any]) -> None:
    record = {"time": "2026-11-24T03:18:02.345121Z", "level": "info", "logger": "crishim.x", "event": "made", **values}
    console = structlog.dev.ConsoleRenderer(
        colors=False, timestamp_key="time", exception_formatter=structlog.dev.plain_traceback
    )
    assert PlainRenderer()(None, "", record.copy()) == console(None, "", record.copy())
