"""What is noted of each container before it is made, so that everything of it can be found after a crash."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
from msgspec import Struct

from crishim.core.errors import SystemCallError
from crishim.drivers.process.identity import ProcessId
from crishim.drivers.syscalls import system_call


class Note(Struct, frozen=True, kw_only=True):
    """How a container was made, whatever the configuration says now.

    ``group`` is its control group, empty when it has none. ``monitor`` None: it was not started.
    """

    container_id: str
    program: str
    systemd_cgroup: bool
    bundle: str
    log_path: str
    group: str = ""
    monitor: ProcessId | None = None


class Notes:
    """The notes, one file each. Blocks, on a file system in memory."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def write(self, note: Note) -> None:
        """Write or replace a note: whole, or not at all."""
        path = self._directory / note.container_id
        temporary = path.with_name(f".{path.name}")
        with system_call("write", str(path)):
            temporary.write_bytes(msgspec.json.encode(note))
            temporary.replace(path)

    def read(self, container_id: str) -> Note | None:
        """The note of a container; None when nothing of it was ever made, or all is removed."""
        path = self._directory / container_id
        with system_call("read", str(path)):
            try:
                return msgspec.json.decode(path.read_bytes(), type=Note)
            except FileNotFoundError:
                return None
            except msgspec.MsgspecError as error:
                raise SystemCallError(f"read {path}: its content is damaged: {error}") from error

    def remove(self, container_id: str) -> None:
        """Forget a container; idempotent."""
        path = self._directory / container_id
        with system_call("unlink", str(path)):
            path.unlink(missing_ok=True)

    def all(self) -> Iterator[str]:
        """The ids of all containers there are notes of."""
        return (entry.name for entry in self._directory.iterdir() if not entry.name.startswith("."))
