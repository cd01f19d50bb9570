"""Structured logs: one renderer for crishim's records and those of every library that uses ``logging``.

What is bound with ``structlog.contextvars`` (the rpc, the sandbox id) stands in every record of that task and of
the tasks it starts.
"""

from __future__ import annotations

import logging
import sys
from typing import TextIO

import structlog
from structlog.types import Processor

from crishim.core.config.types import LogFormat, LogLevel

_SHARED: tuple[Processor, ...] = (
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
)


class _Handler(logging.StreamHandler[TextIO]):
    """The handler that ``configure`` installs; a class of its own, so that it finds and replaces it."""


def configure(level: LogLevel | str, fmt: LogFormat | str, stream: TextIO | None = None) -> None:
    """Send all records of at least ``level`` to ``stream`` (standard error); may be called again."""
    handler = _Handler(sys.stderr if stream is None else stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*_SHARED, structlog.stdlib.ExtraAdder()],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *_renderer(LogFormat(fmt), handler.stream),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [*(other for other in root.handlers if not isinstance(other, _Handler)), handler]
    root.setLevel(LogLevel(level).upper())
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_SHARED,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
    )


def _renderer(fmt: LogFormat, stream: TextIO) -> tuple[Processor, ...]:
    if fmt is LogFormat.JSON:
        return (
            structlog.processors.format_exc_info,
            structlog.processors.EventRenamer("msg"),
            structlog.processors.JSONRenderer(),
        )
    return (
        structlog.dev.ConsoleRenderer(
            colors=stream.isatty(), timestamp_key="time", exception_formatter=structlog.dev.plain_traceback
        ),
    )
