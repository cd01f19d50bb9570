"""What callers ask of the streaming server, as frozen values."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct


class Output(StrEnum):
    """The two streams a process writes; with a terminal there is only STDOUT."""

    STDOUT = "stdout"
    STDERR = "stderr"


class ExecStream(Struct, frozen=True, kw_only=True):
    """A command to run in a container, and which of its streams the caller wants; ``tty`` excludes ``stderr``."""

    container_id: str
    command: tuple[str, ...]
    tty: bool = False
    stdin: bool = False
    stdout: bool = False
    stderr: bool = False


class AttachStream(Struct, frozen=True, kw_only=True):
    """Which streams of a container's first process the caller wants; ``tty`` excludes ``stderr``."""

    container_id: str
    tty: bool = False
    stdin: bool = False
    stdout: bool = False
    stderr: bool = False


class PortForwardStream(Struct, frozen=True, kw_only=True):
    """Ports of a pod. ``ports`` is what clients get that cannot name ports themselves; others name any port."""

    sandbox_id: str
    ports: tuple[int, ...] = ()
