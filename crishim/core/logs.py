"""Structured logs: one renderer for crishim's records and those of every library that uses ``logging``.

What is bound with ``structlog.contextvars`` (the rpc, the sandbox id) stands in every record of that task and of
the tasks it starts.

The records of structlog's loggers do not pass through ``logging``, which takes longer than all else that is done with
them. They only use its handler.
"""

from __future__ import annotations

import logging
import re
import sys
from datetime import UTC, datetime
from typing import TextIO

import structlog
from structlog.types import EventDict, Processor

from crishim.core.config.types import LogFormat, LogLevel


def _add_time(_logger: object, _method: str, record: EventDict) -> EventDict:
    record["time"] = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    return record


_SHARED: tuple[Processor, ...] = (
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    _add_time,
)


class _Handler(logging.StreamHandler[TextIO]):
    """The handler that ``configure`` installs; a class of its own, so that it finds and replaces it."""

    def __init__(self, stream: TextIO, renderers: tuple[Processor, ...]) -> None:
        super().__init__(stream)
        self._renderers = renderers
        self.setFormatter(
            structlog.stdlib.ProcessorFormatter(
                foreign_pre_chain=[*_SHARED, structlog.stdlib.ExtraAdder()],
                processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderers],
            )
        )

    def write(self, record: EventDict) -> None:
        """Render and write a record that did not come through ``logging``, and fail as those that do."""
        try:
            rendered: EventDict | str = {**record}
            for render in self._renderers:
                rendered = render(None, "", rendered)  # type: ignore[arg-type,assignment]  # the last one: a string
            self.acquire()
            try:
                self.stream.write(f"{rendered}{self.terminator}")
                self.stream.flush()
            finally:
                self.release()
        except Exception:  # a record must not end what it tells of
            self.handleError(logging.makeLogRecord({"msg": record}))


class _Output:
    """What writes the records of one of structlog's loggers."""

    def __init__(self, name: str, handler: _Handler) -> None:
        self.name = name
        self.debug = self.info = self.warning = self.error = self.critical = handler.write


class PlainRenderer:
    """What ``structlog.dev.ConsoleRenderer`` makes of a record without colours, in a quarter of the time."""

    _UNUSUAL = frozenset({"exc_info", "exception", "stack", "logger_name"})
    _QUOTED = re.compile(r"""[ \t=\r\n"']""")

    def __init__(self) -> None:
        self._any = _console(colors=False)

    def __call__(self, logger: object, method: str, record: EventDict) -> str:
        """One line; more with a trace, which is left to the other renderer."""
        if not self._UNUSUAL.isdisjoint(record):
            return self._any(logger, method, record)
        time, level, event, name = record.pop("time"), record.pop("level"), record.pop("event"), record.pop("logger")
        values = [key + "=" + self._text(record[key]) for key in sorted(record)]
        return " ".join([time, f"[{level:9}]", f"{event!s:30}", f"[{name}]", *values]).rstrip(" ")

    def _text(self, value: object) -> str:
        return value if isinstance(value, str) and not self._QUOTED.search(value) else repr(value)


def configure(level: LogLevel | str, fmt: LogFormat | str, stream: TextIO | None = None) -> None:
    """Send all records of at least ``level`` to ``stream`` (standard error); may be called again."""
    stream = sys.stderr if stream is None else stream
    handler = _Handler(stream, _renderers(LogFormat(fmt), stream))
    root = logging.getLogger()
    root.handlers = [*(other for other in root.handlers if not isinstance(other, _Handler)), handler]
    root.setLevel(LogLevel(level).upper())
    unnamed = structlog.stdlib.LoggerFactory(ignore_frame_names=[__name__])
    structlog.configure(
        processors=[*_SHARED, lambda _logger, _method, record: ((record,), {})],
        wrapper_class=structlog.make_filtering_bound_logger(LogLevel(level)),
        logger_factory=lambda *names: _Output(names[0] if names else unnamed().name, handler),
    )


def _renderers(fmt: LogFormat, stream: TextIO) -> tuple[Processor, ...]:
    if fmt is LogFormat.JSON:
        return (
            structlog.processors.format_exc_info,
            structlog.processors.EventRenamer("msg"),
            structlog.processors.JSONRenderer(),
        )
    return (_console(colors=True) if stream.isatty() else PlainRenderer(),)


def _console(*, colors: bool) -> structlog.dev.ConsoleRenderer:
    return structlog.dev.ConsoleRenderer(
        colors=colors, timestamp_key="time", exception_formatter=structlog.dev.plain_traceback
    )
