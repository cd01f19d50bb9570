"""What is known of the processes of a container, as frozen values."""

from __future__ import annotations

from msgspec import Struct

UNKNOWN_EXIT_CODE = 255  # of what nobody knows how it ended


class Started(Struct, frozen=True):
    """A container's init process, made but waiting for start: its pid and start time in clock ticks."""

    pid: int
    pid_start: int


class Exit(Struct, frozen=True):
    """How a container ended. ``exit_code`` is 128 + signal for a signal; times are nanoseconds since the epoch.

    ``started_at`` is when its start was begun, 0 if it was not.
    """

    exit_code: int
    finished_at: int
    started_at: int = 0
    oom_killed: bool = False


class ExecResult(Struct, frozen=True):
    """Outcome of a command run in a container."""

    stdout: bytes
    stderr: bytes
    exit_code: int
