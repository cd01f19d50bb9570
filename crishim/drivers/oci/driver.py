"""Containers under an OCI runtime, each watched by a monitor that outlives this server.

    bundle ──▶ note ──▶ monitor ──▶ OCI runtime makes it ──▶ start ──▶ … ──▶ exit file ──▶ delete ──▶ no note

The note goes last: ``delete`` finds all of a container by it, at whatever point a server ended. Before it there is only
the bundle, by which the next server finds what it has no record of.
"""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import structlog
from msgspec import Struct
from msgspec.structs import replace

from cni_runtime import faults
from cni_runtime.tasks import finish
from crishim.core.clock import now_ns
from crishim.core.errors import ConfigError, RuntimeFailedError, explain
from crishim.drivers import threads
from crishim.drivers.cgroups.groups import ControlGroups
from crishim.drivers.conmon.attach import Attachment, attach
from crishim.drivers.conmon.control import reopen_log, resize
from crishim.drivers.conmon.exits import read_exit
from crishim.drivers.infra.dressing import InfraProcess
from crishim.drivers.null import take_back_null
from crishim.drivers.oci.creation import files_of, plan_note, prepare, program_of, run_unwatched
from crishim.drivers.oci.criu import checkpoint_obstacle
from crishim.drivers.oci.exec import Execs
from crishim.drivers.oci.exec_fifo import let_run
from crishim.drivers.oci.exec_streams import ExecSession, Wanted, open_session
from crishim.drivers.oci.exec_sync import exec_sync
from crishim.drivers.oci.handlers import Handlers
from crishim.drivers.oci.infra import InfraProcesses
from crishim.drivers.oci.making import Making
from crishim.drivers.oci.notes import Note, Notes
from crishim.drivers.oci.places import Places
from crishim.drivers.oci.program import OciProgram, parse_status
from crishim.drivers.oci.removal import Removal
from crishim.drivers.process.identity import ProcessId, ended, identify, send
from crishim.drivers.process.programs import find_program
from crishim.drivers.process.reaper import adopt_orphans
from crishim.drivers.syscalls import system_call
from crishim.model.container import Container
from crishim.model.process import UNKNOWN_EXIT_CODE, ExecResult, Exit, Started

_log = structlog.get_logger()

_KILLED = 128 + signal.SIGKILL
_LONGEST_BASE = 80  # bytes; a socket below it has to have a path of at most 107, see unix(7)


class Limits(Struct, frozen=True):
    """How long an OCI runtime may take, in seconds, before it is killed and the operation fails.

    ``drain``: how long output of a command is waited for that others still hold when it has ended; None: for ever.
    """

    create: float = 120.0
    start: float = 60.0
    update: float = 60.0
    delete: float = 60.0
    drain: float | None = None


DEFAULT_LIMITS = Limits()


class OciDriver:
    """Makes, runs and removes containers. Every call raises CrishimErrors only.

    The handler of a container counts when it is made; after that the OCI runtime that made it is used.
    """

    def __init__(
        self,
        base: Path,
        handlers: Handlers,
        groups: ControlGroups,
        *,
        conmon: str = "conmon",
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        if len(str(base)) > _LONGEST_BASE:
            raise ConfigError(f"state directory {base}: expected a path of at most {_LONGEST_BASE} bytes")
        self._places, self._handlers, self._groups = Places(base), handlers, groups
        self._conmon, self._limits = conmon, limits
        self._monitor: Path | None = None  # where conmon was found
        self._notes = Notes(self._places.notes)
        self._execs = Execs(self._places, self._notes)
        self._infra = InfraProcesses(self._places, self._notes)
        self._removal = Removal(self._places, self._notes, groups, self._execs)

    async def prepare(self) -> None:
        """Make the directories, and end what an earlier server was doing; before anything else is called."""
        adopt_orphans()
        await threads.run(self._open_places)
        await self._removal.abandoned()

    def expect(self) -> None:
        """A container is likely to be made soon: let the kernel get ready for that. Returns at once."""
        self._groups.expect_moves()

    @asynccontextmanager
    async def making(self, container: Container, bundle: Path) -> AsyncIterator[Making]:
        """Begin to make a container that is to lie in ``bundle``, and make it inside: see ``Making``.

        Raises UnavailableError (handler, conmon). Left with an error, nothing is left of it but the bundle.
        """
        program = self._handlers.get(container.runtime_handler)
        self._monitor = self._monitor or find_program(self._conmon)
        making = Making(
            container, program, bundle, self._monitor, self._places, self._notes, self._groups, self._limits.create
        )
        try:
            yield making
        except BaseException as error:
            await self._undo(container.id, error, making)
            raise

    async def run(self, container: Container, bundle: Path, spec: Mapping[str, Any]) -> Started:
        """Make a container that runs and has no monitor: nobody hears what it says or how it ends."""
        self._groups.expect_moves()
        note = plan_note(container, self._handlers.get(container.runtime_handler), bundle, spec)
        try:
            await threads.run(prepare, note, self._notes, spec)
            started = await run_unwatched(
                program_of(note, self._places), files_of(note, self._places), self._limits.create
            )
            if note.userns is not None:
                await threads.run(take_back_null)
        except BaseException as error:
            await self._undo(container.id, error)
            raise
        self._notes.write(replace(note, monitor=ProcessId(started.pid, started.pid_start)))
        return started

    async def start_infra(self, container: Container, bundle: Path, wanted: InfraProcess) -> Started:
        """As ``run``, but by no OCI runtime: the process that holds a pod's PID namespace. Raises SystemCallError.

        It has no control group of its own. A process that is root of a user namespace cannot be started so.
        """
        try:
            return await self._infra.start(container.id, bundle, wanted)
        except BaseException as error:
            await self._undo(container.id, error)
            raise

    async def start(self, container: Container) -> int:
        """Let the container run; when that was begun, nanoseconds since the epoch."""
        note = replace(self._notes.get(container.id), start_begun=now_ns())
        self._notes.write(note)
        faults.reach("oci.start.noted")
        if not self._let_run(note):
            await program_of(note, self._places).call("start", container.id, seconds=self._limits.start)
        faults.reach("oci.start.started")
        return note.start_begun

    async def started_at(self, container: Container) -> int:
        """When a container was let run, nanoseconds since the epoch, be it that it has ended since; 0 if it was not.

        For after a crash in ``start``: if one was begun it is finished, or else the OCI runtime is asked. Raises
        RuntimeFailedError when that does not know the container, or its answer makes no sense.
        """
        note = self._notes.find(container.id)
        if note is None or not note.start_begun:
            return 0
        if self._let_run(note):
            return note.start_begun
        answer = await program_of(note, self._places).call("state", container.id, seconds=self._limits.start)
        return 0 if parse_status(answer.stdout) in ("creating", "created") else note.start_begun

    def _let_run(self, note: Note) -> bool:
        """Start a container without its OCI runtime, in memory and so without a thread; False if it has to be asked."""
        return note.starts_by_fifo and let_run(program_of(note, self._places).state / note.container_id)

    def is_there(self, container: Container) -> bool:
        """Whether the first process of a container is there, be it as a zombie: so long nobody else has its id."""
        with system_call("identify process", str(container.pid)):
            return identify(container.pid) == ProcessId(container.pid, container.pid_start)

    async def signal(self, container: Container, signal: int) -> None:
        """Send a signal to the init process; one that has ended is fine."""
        send(ProcessId(container.pid, container.pid_start), signal)

    async def kill_all(self, container: Container) -> None:
        """Send SIGKILL to every process of the container; one that has ended is fine."""
        note = self._notes.find(container.id)
        await self._kill(container, note)

    async def wait(self, container: Container) -> Exit:
        """Wait for the end, also of one that ended while this server was down. Never polls.

        A container whose monitor is gone is killed: nobody hears it any more. When nothing is known of a container,
        its exit code is UNKNOWN_EXIT_CODE and its time now.
        """
        note = self._notes.find(container.id)
        if note is not None and note.monitor is not None:
            await ended(note.monitor)
        out_of_memory = note is not None and note.by_oci_runtime and await self._ran_out_of_memory(note)
        found = read_exit(self._places.exits / container.id) or await self._end_unwatched(container, note)
        note = self._notes.find(container.id)  # of now
        started_at = (note and note.start_begun) or container.started_at
        # The time of a file is that of the clock's last tick, some milliseconds ago: maybe before the start.
        finished_at = max(found.finished_at, started_at)
        return replace(found, oom_killed=out_of_memory, started_at=started_at, finished_at=finished_at)

    async def ended(self, container: Container) -> Exit | None:
        """How the container ended; None while its monitor lives."""
        note = self._notes.find(container.id)
        alive = note is not None and note.monitor is not None and identify(note.monitor.pid) == note.monitor
        return None if alive else await self.wait(container)

    async def delete(self, container_id: str) -> None:
        """Remove all that the runtime and the monitor keep of a container, ended or not; idempotent."""
        await self._removal.remove(container_id, self._limits.delete)

    async def update(self, container: Container, resources: Mapping[str, Any]) -> None:
        """Change the resources of a container to an OCI ``linux.resources`` object."""
        note = self._notes.get(container.id)
        try:
            await self._update(note, resources)
        except RuntimeFailedError:
            # crun 1.8 cannot write that a CPU quota is to go to cgroup v1.
            cpu = dict(resources.get("cpu", {}))
            if cpu.pop("quota", 0) >= 0 or not self._groups.lift_cpu_quota(note.group):
                raise
            await self._update(note, {**resources, "cpu": cpu})

    async def _update(self, note: Note, resources: Mapping[str, Any]) -> None:
        program, path = program_of(note, self._places), Path(note.bundle) / "resources.json"
        try:
            await threads.run(_write, path, msgspec.json.encode(resources))
            await program.call("update", f"--resources={path}", note.container_id, seconds=self._limits.update)
        finally:
            path.unlink(missing_ok=True)

    async def exec_sync(self, container: Container, process: Mapping[str, Any], seconds: float | None) -> ExecResult:
        """Run an OCI ``process`` in the container to its end; see ``exec_sync.exec_sync``."""
        program, drain = self._program(container.id), self._limits.drain
        self._groups.expect_moves()
        return await exec_sync(self._execs, program, container.id, process, seconds=seconds, drain_seconds=drain)

    async def exec_streams(self, container: Container, process: Mapping[str, Any], wanted: Wanted) -> ExecSession:
        """Start an OCI ``process`` in the container whose streams the caller gets; see ``exec_streams``."""
        program = self._program(container.id)
        self._groups.expect_moves()
        command = self._execs.prepare(container.id, {**process, "terminal": wanted.tty})
        return await open_session(command, program, wanted, sockets=self._places.sockets, seconds=self._limits.start)

    async def attach(self, container: Container) -> Attachment:
        """Connect to the streams of the container's first process."""
        return await attach(files_of(self._notes.get(container.id), self._places))

    async def resize(self, container: Container, width: int, height: int) -> None:
        """Set the size of the container's terminal, in characters."""
        resize(files_of(self._notes.get(container.id), self._places), width, height)

    async def checkpoint_obstacle(self) -> str:
        """See ``criu.checkpoint_obstacle``."""
        return await checkpoint_obstacle()

    async def reopen_log(self, container: Container) -> None:
        """Let the log go on in a new file, if the one it was written to has been moved away."""
        note = self._notes.get(container.id)
        if note.monitor is not None and note.log_path:
            await reopen_log(files_of(note, self._places), note.monitor, Path(note.log_path))

    def _program(self, container_id: str) -> OciProgram:
        return program_of(self._notes.get(container_id), self._places)

    async def _undo(self, container_id: str, error: BaseException, making: Making | None = None) -> None:
        async def undo() -> None:
            if making is not None:
                await making.give_up()
            await self._removal.remove(container_id, self._limits.delete)
            if making is not None:
                await making.forget()

        try:
            await finish(undo())
        except Exception as undo_error:
            error.add_note(f"container {container_id} could not be undone yet: {explain(undo_error)}")

    async def _kill(self, container: Container, note: Note | None) -> bool:
        """Kill all there is; whether the first process was still there."""
        init = ProcessId(container.pid, container.pid_start)
        was_there = container.pid > 1 and send(init, signal.SIGKILL)
        if note is not None and note.group and not note.own_pids:
            await self._groups.kill(note.group)
        return was_there

    async def _end_unwatched(self, container: Container, note: Note | None) -> Exit:
        killed = await self._kill(container, note)
        if killed:
            await ended(ProcessId(container.pid, container.pid_start))
        if not container.infra:  # which has no monitor
            _log.warning("container.monitor_lost", container=container.id, killed=killed)
        return Exit(_KILLED if killed else UNKNOWN_EXIT_CODE, now_ns())

    async def _ran_out_of_memory(self, note: Note) -> bool:
        if files_of(note, self._places).out_of_memory.exists():
            return True
        return bool(note.group) and await self._groups.ran_out_of_memory(note.group)

    def _open_places(self) -> None:
        for directory in self._places.all:
            with system_call("mkdir", str(directory)):
                directory.mkdir(0o700, parents=True, exist_ok=True)
        for socket in self._places.sockets.iterdir():
            socket.unlink(missing_ok=True)  # of a monitor that was killed at the wrong moment
        self._execs.open()
        self._notes.load()


def _write(path: Path, content: bytes) -> None:
    with system_call("write", str(path)):
        path.write_bytes(content)
