"""Removing all that is left of a container, whatever was going on when it was left."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import anyio

from cni_runtime import faults
from crishim.drivers import threads
from crishim.drivers.cgroups.groups import ControlGroups
from crishim.drivers.oci.creation import files_of, program_of
from crishim.drivers.oci.deadline import within
from crishim.drivers.oci.exec import Execs
from crishim.drivers.oci.infra import is_left_over
from crishim.drivers.oci.notes import Note, Notes
from crishim.drivers.oci.places import Places
from crishim.drivers.process.identity import ended
from crishim.drivers.process.search import command_lines, kill_group
from crishim.drivers.syscalls import system_call

_ABANDON_SECONDS = 5.0


class Removal:
    """Every step is idempotent, and the note is the last to go: a removal that failed is simply run again."""

    def __init__(self, places: Places, notes: Notes, groups: ControlGroups, execs: Execs) -> None:
        self._places, self._notes, self._groups, self._execs = places, notes, groups, execs

    async def remove(self, container_id: str, seconds: float) -> None:
        """Remove a container, ended or not. Raises RuntimeFailedError and DeadlineError; its processes are gone then.

        The bundle with its configuration stays: it is the caller's.
        """
        note = self._notes.find(container_id)
        if note is None:
            _unlink(self._places.exits / container_id)
            return
        with within(seconds, f"removing container {container_id}"):
            if note.monitor is not None:
                await kill_group(note.monitor)  # gone already when the container ended by itself
            faults.reach("oci.delete.monitor")
            if not note.by_oci_runtime:
                self._notes.remove(container_id)
                return
            await self._execs.abandon(container_id)
            if not (note.own_pids and files_of(note, self._places).exit.exists()):
                await self._kill(note)
        await self._delete_state(note, seconds)
        faults.reach("oci.delete.runtime")
        if note.group:
            with within(seconds, f"removing control group {note.group}"):
                await self._groups.remove(note.group)
        faults.reach("oci.delete.group")
        self._forget(note)

    async def abandoned(self) -> None:
        """Kill the OCI runtimes that an earlier server started and did not see end, commands in containers, and infra
        processes that it did not come to note.

        Those that make a container are left alone: their monitor watches them.
        """
        notes = self._notes.all()
        for process, arguments in (await threads.run(command_lines)).items():
            ours = any(argument.startswith(f"--root={self._places.states}/") for argument in arguments)
            runtime = ours and "create" not in arguments
            if runtime or is_left_over(arguments, process, self._places, notes):
                with anyio.move_on_after(_ABANDON_SECONDS):  # one that is stuck in the kernel
                    await kill_group(process)
        await self._execs.abandon()

    async def _kill(self, note: Note) -> None:
        if note.group:
            for process in await self._groups.kill(note.group):
                await ended(process)

    async def _delete_state(self, note: Note, seconds: float) -> None:
        program = program_of(note, self._places)
        # Where nothing is there an OCI runtime that hangs need not be asked; most keep a directory.
        if _entries(program.state, note.container_id):
            await program.call("delete", "--force", note.container_id, seconds=seconds)

    def _forget(self, note: Note) -> None:
        unfinished = _entries(self._places.exits, f"{note.container_id}.")  # of a monitor that was killed
        for path in (*files_of(note, self._places).all, *unfinished):
            _unlink(path)
        self._notes.remove(note.container_id)


def _entries(directory: Path, start: str) -> list[Path]:
    """What is in a directory under names with this beginning; nothing in one that is not there."""
    with suppress(FileNotFoundError):
        names = os.listdir(directory)  # noqa: PTH208  # there may be many, and a Path takes longer to make
        return [directory / name for name in names if name.startswith(start)]
    return []


def _unlink(path: Path) -> None:
    with system_call("unlink", str(path)):
        path.unlink(missing_ok=True)
