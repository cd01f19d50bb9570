"""Infra processes, which no OCI runtime makes, among the containers: noted, found and ended as those are.

note ──▶ process, which bears the path of its note ──▶ its id in the note ──▶ … ──▶ end ──▶ no note
"""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from contextlib import suppress
from pathlib import Path

from msgspec.structs import replace

from cni_runtime import faults
from crishim.drivers import threads
from crishim.drivers.infra.dressing import CATATONIT, InfraProcess, command_line, start
from crishim.drivers.infra.root import EmptyRoot
from crishim.drivers.oci.creation import check_init
from crishim.drivers.oci.notes import Note, Notes
from crishim.drivers.oci.places import Places
from crishim.drivers.private import make_private
from crishim.drivers.process.child import Child
from crishim.drivers.process.identity import ProcessId
from crishim.drivers.process.spawn import Spawned
from crishim.drivers.syscalls import system_call
from crishim.model.process import Started

_LEAST_PRIORITY = 19  # it only waits


class InfraProcesses:
    """Starts infra processes, under the ids of containers."""

    def __init__(self, places: Places, notes: Notes) -> None:
        self._places, self._notes = places, notes
        self._root = EmptyRoot(CATATONIT, places.base)

    async def start(self, container_id: str, bundle: Path, wanted: InfraProcess) -> Started:
        """Start one. Raises SystemCallError, RuntimeFailedError when it ends at once.

        Then, and when the caller is cancelled, no process is left.
        """
        note = Note(container_id=container_id, program="", systemd_cgroup=False, bundle=str(bundle), log_path="")
        child = await Child.of(threads.start_alone(self._start, note, wanted))
        try:
            faults.reach("oci.infra.started")
            started = check_init(child.pid, os.getpid())
            _rank(child.pid, wanted.oom_score_adj)
            self._notes.write(replace(note, monitor=ProcessId(started.pid, started.pid_start)))
        except BaseException:
            await child.end()
            raise
        faults.reach("oci.infra.recorded")
        return started

    def _start(self, note: Note, wanted: InfraProcess) -> Spawned:
        make_private(Path(note.bundle))  # by which a new server finds what it has no record of
        self._notes.write(note)
        faults.reach("oci.infra.noted")
        return start(wanted, self._root, label(self._places, note.container_id))


def label(places: Places, container_id: str) -> str:
    """What an infra process is known by."""
    return str(places.notes / container_id)


def is_left_over(arguments: Sequence[str], process: ProcessId, places: Places, notes: Collection[Note]) -> bool:
    """Whether a process is an infra process that an earlier server started, and did not come to note."""
    _, _, container_id = arguments[-1].rpartition("/")
    ours = tuple(arguments) == command_line(label(places, container_id))
    return ours and process not in {note.monitor for note in notes}


def _rank(pid: int, oom_score_adj: int) -> None:
    """Let the kernel spare a process when it runs out of memory, and let all others run before it."""
    path = f"/proc/{pid}/oom_score_adj"
    with system_call("write", path):
        Path(path).write_text(str(oom_score_adj))
    with suppress(PermissionError):  # a server without CAP_SYS_NICE
        os.setpriority(os.PRIO_PROCESS, pid, _LEAST_PRIORITY)
