"""What creating a container is made of: what is noted, what its monitor is told, and whether its process is real."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from cni_runtime import faults
from cni_runtime.files import replace
from crishim.core.errors import InvalidArgumentError, NotFoundError, RuntimeFailedError
from crishim.drivers.cgroups.hierarchy import group_path
from crishim.drivers.conmon.argv import Monitor, MonitorFiles
from crishim.drivers.oci.deadline import within
from crishim.drivers.oci.exec_fifo import starts_by_fifo
from crishim.drivers.oci.handlers import Handler
from crishim.drivers.oci.notes import Note, Notes
from crishim.drivers.oci.places import Places
from crishim.drivers.oci.program import OciProgram
from crishim.drivers.oci.stream_owner import user_namespace
from crishim.drivers.private import make_private
from crishim.drivers.process.child import Child
from crishim.drivers.process.identity import ended, identify, read_stat
from crishim.drivers.syscalls import system_call
from crishim.model.container import Container
from crishim.model.process import Started


def plan_note(container: Container, handler: Handler, bundle: Path, spec: Mapping[str, Any]) -> Note:
    """What is noted of a container before it is made. Raises InvalidArgumentError.

    The group has to bear the container's id: all that is in it will be killed in the end.
    """
    linux = spec.get("linux", {})
    path = linux.get("cgroupsPath", "")
    group = group_path(path, systemd=handler.systemd_cgroup) if path else ""
    if group and container.id not in group.rpartition("/")[2]:
        raise InvalidArgumentError(f"linux.cgroupsPath: expected a group of container {container.id}, found {path!r}")
    return Note(
        container_id=container.id,
        program=str(handler.program),
        systemd_cgroup=handler.systemd_cgroup,
        bundle=str(bundle),
        log_path=container.log_path,
        group=group,
        own_pids=any(entry["type"] == "pid" and not entry.get("path") for entry in linux.get("namespaces", ())),
        userns=user_namespace(linux),
        starts_by_fifo=starts_by_fifo(handler.program, spec),
    )


def program_of(note: Note, places: Places) -> OciProgram:
    """The OCI runtime a container was made by."""
    path = Path(note.program)
    return OciProgram(path, places.state(path), note.systemd_cgroup)


def files_of(note: Note, places: Places) -> MonitorFiles:
    """The files of a container's monitor."""
    return MonitorFiles(note.container_id, Path(note.bundle), places.exits)


def plan_monitor(container: Container, note: Note, conmon: Path, places: Places) -> Monitor:
    """What the monitor of a container is told."""
    config, program = container.config, program_of(note, places)
    return Monitor(
        container_id=container.id,
        program=conmon,
        runtime=program.path,
        runtime_args=program.options(),
        bundle=Path(note.bundle),
        exits=places.exits,
        log_path=note.log_path,
        terminal=config.tty,
        stdin=config.stdin,
        leave_stdin_open=config.stdin and not config.stdin_once,
        systemd_cgroup=note.systemd_cgroup,
    )


def prepare(note: Note, notes: Notes, spec: Mapping[str, Any]) -> None:
    """Note the container, and write what the OCI runtime reads. Blocks."""
    open_bundle(note, notes)
    write_config(note, spec)


def open_bundle(note: Note, notes: Notes) -> None:
    """Make the bundle of a container, by which a new server finds what it has no record of, and its log's directory;
    then note it.

    Blocks.
    """
    make_private(Path(note.bundle))
    if note.log_path:
        directory = Path(note.log_path).parent
        with system_call("mkdir", str(directory)):
            directory.mkdir(0o755, parents=True, exist_ok=True)
    notes.write(note)


def discard_log(log_path: str) -> None:
    """Remove the log of a container that was not made, unless there is something in it. Blocks.

    A kubelet that knows of no earlier attempt counts the logs for that: each one that failed would count as a restart.
    """
    path = Path(log_path)
    with system_call("unlink", log_path), suppress(FileNotFoundError, NotADirectoryError):
        status = path.lstat()
        if stat.S_ISREG(status.st_mode) and status.st_size == 0:
            path.unlink()


def write_config(note: Note, spec: Mapping[str, Any]) -> None:
    """Write what the OCI runtime reads into the bundle, which the root of a user namespace gets through from now on."""
    if note.userns is not None:
        make_private(Path(note.bundle), note.userns)
    path = Path(note.bundle) / "config.json"
    with system_call("write", str(path)):
        replace(path, msgspec.json.encode(spec))


async def run_unwatched(program: OciProgram, files: MonitorFiles, seconds: float) -> Started:
    """Let an OCI runtime make and start a container that is left to this process.

    Raises RuntimeFailedError, DeadlineError.
    """
    paths = (f"--bundle={files.bundle}", f"--pid-file={files.init_pid}")
    await program.call("run", "--detach", *paths, files.container_id, seconds=seconds)
    faults.reach("oci.run.made")
    try:
        pid = int(files.init_pid.read_text(encoding="ascii"))
    except (OSError, ValueError) as error:
        raise RuntimeFailedError(f"{program.path.name} did not tell the container's first process: {error}") from error
    with within(seconds, f"{program.path.name} run"):
        await _let_go(pid)
    started = check_init(pid, os.getpid())
    with suppress(NotFoundError):  # it has ended: whoever waits for it finds out
        Child.adopt(pid)  # so that it is not looked at whenever any process ends
    return started


async def _let_go(pid: int) -> None:
    """Wait until ``pid`` is left to this process: crun's own child, which made it, ends a moment after crun."""
    stat = read_stat(pid)
    if stat is not None and (parent := identify(stat.parent)):
        of_parent = read_stat(parent.pid)
        if of_parent is not None and of_parent.parent == os.getpid():
            await ended(parent)


def check_init(pid: int, parent: int) -> Started:
    """The first process of a container, if it is what its monitor, or the runtime, says. Raises RuntimeFailedError.

    It is a child of the monitor, or of this process when there is none: the OCI runtime, which made it, has ended.
    """
    stat = read_stat(pid)
    if stat is None:
        raise RuntimeFailedError(f"process {pid}, the container's first, is gone")
    if stat.parent != parent:
        raise RuntimeFailedError(f"the OCI runtime gave {pid} for the container's first process, which is another one")
    return Started(pid=pid, pid_start=stat.start)
