"""What is noted of each container before it is made, so that everything of it can be found after a crash."""

from __future__ import annotations

from pathlib import Path

import msgspec
import structlog
from msgspec import Struct

from cni_runtime import files
from crishim.core.errors import FailedPreconditionError
from crishim.drivers.process.identity import ProcessId
from crishim.drivers.syscalls import system_call
from crishim.model.pod import UserNamespace

_log = structlog.get_logger()


class Note(Struct, frozen=True, kw_only=True):
    """How a container was made, whatever the configuration says now.

    ``program`` is the OCI runtime; empty for an infra process that was started without one, which is its own monitor.
    ``group`` is its control group, empty when it has none. ``own_pids``: it has a PID namespace of its own, so all of
    it ends with its first process. ``userns``: the ids of its user namespace. ``starts_by_fifo``: see ``exec_fifo``.
    ``monitor`` None: it was not started. ``start_begun`` is when the container's start was, nanoseconds since the
    epoch, 0 if it was not.
    """

    container_id: str
    program: str
    systemd_cgroup: bool
    bundle: str
    log_path: str
    group: str = ""
    own_pids: bool = False
    userns: UserNamespace | None = None
    starts_by_fifo: bool = False
    monitor: ProcessId | None = None
    start_begun: int = 0

    @property
    def by_oci_runtime(self) -> bool:
        """Whether there is more of it than a process."""
        return bool(self.program)


class Notes:
    """The notes, one file each on a file system in memory, written through: reading costs nothing."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._notes: dict[str, Note] = {}

    def load(self) -> None:
        """Take over what an earlier server noted, and remove what it had only begun to write.

        Raises SystemCallError; what makes no sense is logged and left.
        """
        with system_call("read", str(self._directory)):
            for path in self._directory.iterdir():
                if path.name.startswith("."):
                    path.unlink()
                elif note := _read(path):
                    self._notes[note.container_id] = note

    def write(self, note: Note) -> None:
        """Write or replace a note: whole, or not at all."""
        path = self._directory / note.container_id
        with system_call("write", str(path)):
            files.replace(path, msgspec.json.encode(note))
        self._notes[note.container_id] = note

    def all(self) -> list[Note]:
        """Every note there is."""
        return list(self._notes.values())

    def find(self, container_id: str) -> Note | None:
        """The note of a container; None when nothing of it was ever made, or all is removed."""
        return self._notes.get(container_id)

    def get(self, container_id: str) -> Note:
        """The note of a container; raises FailedPreconditionError when nothing is there of it."""
        if note := self._notes.get(container_id):
            return note
        raise FailedPreconditionError(f"container {container_id} has ended")

    def remove(self, container_id: str) -> None:
        """Forget a container; idempotent."""
        path = self._directory / container_id
        with system_call("unlink", str(path)):
            files.remove(path)
        self._notes.pop(container_id, None)


def _read(path: Path) -> Note | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Note)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        _log.warning("oci.note_damaged", path=str(path), error=str(error))
        return None
