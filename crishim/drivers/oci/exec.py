"""Starting a command in a container, and knowing all that it starts.

The OCI runtime leaves the command to this process and ends, so nothing but the command itself stays. Its processes
bear a mark; a directory with the mark in its name is there as long as the command is, so that a later server knows
what to end.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anyio
import msgspec
import structlog
from msgspec import Struct
from msgspec.structs import replace

from cni_runtime import faults
from cni_runtime.tasks import finish
from crishim.core.errors import NotFoundError, RuntimeFailedError, SystemCallError, explain
from crishim.drivers import credentials, threads
from crishim.drivers.null import open_null
from crishim.drivers.oci.notes import Notes
from crishim.drivers.oci.places import Places
from crishim.drivers.oci.program import OciProgram, environment, errors_in_log
from crishim.drivers.oci.stream_owner import Owner, give, owner_of_streams
from crishim.drivers.process.child import Child
from crishim.drivers.process.mark import kill_bearers, new_mark, oci_rlimit
from crishim.drivers.process.spawn import Program, Spawned, spawn
from crishim.drivers.syscalls import system_call

_log = structlog.get_logger()

_KILL_SECONDS = 10.0

# crun gives a command no rank of its own, and it would inherit that of this process, by which it is among the last that
# the kernel kills when memory is short. So what becomes the OCI runtime is ranked before: later would be too late.
_RANKED = '{ echo "$0" >/proc/self/oom_score_adj; } 2>/dev/null; exec "$@"'


class Streams(Struct, frozen=True, kw_only=True):
    """Descriptors for a command, None for /dev/null; or the socket that its terminal is to be sent to."""

    stdin: int | None = None
    stdout: int | None = None
    stderr: int | None = None
    console: Path | None = None


class Exec(Struct, frozen=True):
    """One command in a container, from before its start until nothing of it is left.

    ``owner`` gets the pipes that are its streams. ``null`` is what it gets where it has none. ``oom_score_adj`` is that
    of the process, None for that of this one.
    """

    container_id: str
    mark: int
    directory: Path
    owner: Owner | None = None
    null: int | None = None
    oom_score_adj: int | None = None

    async def start(self, program: OciProgram, streams: Streams) -> Child:
        """Start the command. Raises RuntimeFailedError when it cannot be started."""
        if self.owner is not None:
            give((streams.stdin, streams.stdout, streams.stderr), self.owner)
        pid_file, log = self.directory / "pid", self.directory / "log"
        console = ("--tty", f"--console-socket={streams.console}") if streams.console else ()
        files = (f"--process={self.directory / 'process.json'}", f"--pid-file={pid_file}")
        stdio = [self.null if each is None else each for each in (streams.stdin, streams.stdout, streams.stderr)]
        runtime = Program(
            argv=program.command_line("exec", "--detach", *files, *console, self.container_id, log=log),
            executable=program.executable,
            env=environment(),
            stdin=stdio[0],
            stdout=stdio[1],
            stderr=stdio[2],
        )
        starter = await Child.of(threads.start_alone(_spawn, self._ranked(runtime)))
        faults.reach("oci.exec.spawned")
        try:
            status = await starter.wait()
        finally:
            await starter.end()
        if status != 0:
            why = errors_in_log(_text(log)) or f"{program.path.name} exec ended with status {status}"
            raise RuntimeFailedError(f"container {self.container_id}: {why}")
        return _adopt(pid_file)

    def _ranked(self, program: Program) -> Program:
        if self.oom_score_adj is None:
            return program
        argv = ("sh", "-c", _RANKED, str(self.oom_score_adj), str(program.executable), *program.argv[1:])
        return replace(program, argv=argv, executable=None)

    async def kill(self) -> None:
        """Kill the command and all it started, and return when they have ended; a cancellation waits too."""
        await finish(self._kill())

    async def _kill(self) -> None:
        with anyio.move_on_after(_KILL_SECONDS):
            await kill_bearers(self.mark)

    def close(self) -> None:
        """Forget the command. Its few small files are in memory."""
        shutil.rmtree(self.directory, ignore_errors=True)


class Execs:
    """The commands that run in containers."""

    def __init__(self, places: Places, notes: Notes) -> None:
        self._places, self._notes = places, notes
        self._null: int | None = None

    def open(self) -> None:
        """Get ready for commands."""
        try:
            self._null = open_null()
        except SystemCallError as error:
            _log.warning("oci.null_not_guarded", error=explain(error))

    def prepare(self, container_id: str, process: Mapping[str, Any]) -> Exec:
        """Note that a command is about to start; ``process`` is an OCI process object."""
        mark, note = new_mark(), self._notes.find(container_id)
        owner = owner_of_streams(note.userns, process) if note and note.userns else None
        directory, rank = self._places.execs / f"{container_id}.{mark:x}", process.get("oomScoreAdj")
        planned = Exec(container_id, mark, directory, owner, self._null, rank)
        _write(planned, _marked(process, mark))
        return planned

    async def abandon(self, container_id: str = "") -> None:
        """Kill and forget the commands of a container, or of all, that are still known."""
        for directory in list(self._places.execs.iterdir()):
            name, _, mark = directory.name.rpartition(".")
            if name == (container_id or name):
                left = Exec(name, int(mark, 16), directory)
                await left.kill()
                left.close()


def _spawn(program: Program) -> Spawned:
    """In a thread that ends then: crun lets a command keep the keys of whoever starts it."""
    with system_call("leave", "the session's keys"):
        credentials.leave_keys()
    return spawn(program)


def _marked(process: Mapping[str, Any], mark: int) -> dict[str, Any]:
    ours = oci_rlimit(mark)
    others = [limit for limit in process.get("rlimits", ()) if limit["type"] != ours["type"]]
    return {**process, "rlimits": [*others, ours]}


def _write(planned: Exec, process: Mapping[str, Any]) -> None:
    with system_call("write", str(planned.directory)):
        planned.directory.mkdir(0o700)
        (planned.directory / "process.json").write_bytes(msgspec.json.encode(process))


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except FileNotFoundError:
        return ""


def _adopt(pid_file: Path) -> Child:
    try:
        return Child.adopt(int(pid_file.read_text(encoding="ascii")))
    except (OSError, ValueError, NotFoundError) as error:
        raise RuntimeFailedError(f"the OCI runtime did not tell which process it started: {error}") from error
