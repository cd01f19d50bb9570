"""The command line of an OCI runtime, and running one command of it to its end."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

import msgspec
from msgspec import Struct

from crishim.core.errors import RuntimeFailedError
from crishim.drivers.oci.sealed import sealed
from crishim.drivers.process.command import Ended, run
from crishim.drivers.process.programs import program_path

_RUNC_LINE = re.compile(r'^time="[^"]*" level=(\w+) msg="(.*)"$')


class OciProgram(Struct, frozen=True):
    """An OCI runtime and where it keeps its state. ``systemd_cgroup``: systemd makes the control groups."""

    path: Path
    state: Path
    systemd_cgroup: bool = False

    @property
    def executable(self) -> Path:
        """What to execute, be it by another name than that in the command line."""
        return sealed(self.path)

    def options(self, log: Path = Path("/dev/null")) -> tuple[str, ...]:
        """What comes before every command. With a log of its own it says plainly on standard error what is wrong."""
        return (f"--root={self.state}", f"--log={log}", "--log-format=json")

    def command_line(self, *arguments: str, log: Path = Path("/dev/null")) -> tuple[str, ...]:
        """The command line for one command."""
        systemd = ("--systemd-cgroup",) if self.systemd_cgroup else ()
        return (str(self.path), *self.options(log), *systemd, *arguments)

    async def call(self, *arguments: str, seconds: float) -> Ended:
        """Run one command. Raises RuntimeFailedError when it fails, DeadlineError, SystemCallError."""
        line = self.command_line(*arguments)
        ended = await run(line, executable=self.executable, env=environment(), seconds=seconds)
        if ended.status != 0:
            said = message(ended.stderr) or f"it ended with status {ended.status}"
            raise RuntimeFailedError(f"{self.path.name} {' '.join(arguments)}: {said}")
        return ended


def message(stderr: bytes) -> str:
    """What an OCI runtime said was wrong, less what some put around it."""
    lines = [line.strip() for line in stderr.decode(errors="replace").splitlines() if line.strip()]
    return "; ".join(match[2] if (match := _RUNC_LINE.match(line)) else line for line in lines)


def errors_in_log(text: str) -> str:
    """The errors in a log in JSON, one object a line; what makes no sense is left out."""
    entries = (_log_entry(line) for line in text.splitlines())
    return "; ".join(entry.msg for entry in entries if entry.level in ("error", "fatal"))


def _log_entry(line: str) -> _LogEntry:
    try:
        return msgspec.json.decode(line, type=_LogEntry)
    except msgspec.MsgspecError:
        return _LogEntry()


class _LogEntry(Struct, frozen=True):
    level: str = ""
    msg: str = ""


def parse_status(answer: bytes) -> str:
    """The status of a container in the answer to the ``state`` command. Raises RuntimeFailedError."""
    try:
        return msgspec.json.decode(answer, type=_State).status
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise RuntimeFailedError(
            f"the OCI runtime's answer to the state command was not understood: {error}"
        ) from error


class _State(Struct, frozen=True):
    status: str


def environment() -> Mapping[str, str]:
    """What monitors and OCI runtimes get of our environment. More could reach hooks, or the container."""
    wanted = {"PATH": program_path(), "TZ": os.environ.get("TZ", "")}
    return {name: value for name, value in wanted.items() if value}
