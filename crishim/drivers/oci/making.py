"""Making a container while its configuration is still being gathered.

A monitor takes a while to start, and needs nothing of the configuration for it. So it is started first, and waits.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from cni_runtime import faults
from crishim.drivers import threads
from crishim.drivers.cgroups.groups import ControlGroups
from crishim.drivers.conmon.argv import Monitor
from crishim.drivers.conmon.launch import Launched, WaitingMonitor, launch
from crishim.drivers.null import take_back_null
from crishim.drivers.oci.creation import check_init, discard_log, open_bundle, plan_monitor, plan_note, write_config
from crishim.drivers.oci.handlers import Handler
from crishim.drivers.oci.notes import Note, Notes
from crishim.drivers.oci.places import Places
from crishim.drivers.oci.program import environment
from crishim.drivers.oci.sealed import sealed
from crishim.drivers.oci.stream_owner import give_of, owner_of_streams
from crishim.drivers.process.identity import ProcessId
from crishim.model.container import Container
from crishim.model.process import Started


class Making:
    """One container that is being made."""

    def __init__(
        self,
        container: Container,
        handler: Handler,
        bundle: Path,
        conmon: Path,
        places: Places,
        notes: Notes,
        groups: ControlGroups,
        seconds: float,
    ) -> None:
        """Begin to start its monitor. ``seconds`` is how long the OCI runtime may take."""
        self._container, self._handler, self._bundle = container, handler, bundle
        self._places, self._notes, self._groups, self._seconds = places, notes, groups, seconds
        self._may_discard_log = False
        groups.expect_moves()  # which the OCI runtime will make
        self._starting = asyncio.create_task(self._start(conmon), name=f"monitor {container.id}")

    async def make(self, spec: Mapping[str, Any]) -> Started:
        """Write the OCI configuration ``spec`` and make the container, stopped before its first instruction.

        Raises RuntimeFailedError, DeadlineError, SystemCallError.
        """
        self._groups.expect_moves()  # the kernel is ready for a while only, and gathering may have taken longer
        note = plan_note(self._container, self._handler, self._bundle, spec)
        await asyncio.wait([self._starting])
        monitor = self._starting.result()
        faults.reach("oci.create.spawned")
        write_config(note, spec)  # like a note, into memory, and so without a thread

        def record(started: ProcessId) -> None:
            self._notes.write(replace(note, monitor=started))

        watcher, pid = await monitor.make(record, self._seconds)
        started = check_init(pid, watcher.pid)
        if note.userns is not None:
            await threads.run(take_back_null)
            owner = owner_of_streams(note.userns, spec["process"])
            await threads.run(give_of, ProcessId(started.pid, started.pid_start), owner)
        faults.reach("oci.create.made")
        return started

    async def give_up(self) -> None:
        """End the monitor, started or about to be. Not to be cancelled."""
        await asyncio.wait([self._starting])
        if not self._starting.cancelled() and self._starting.exception() is None:
            await self._starting.result().end()

    async def forget(self) -> None:
        """Remove what the monitor has left outside of the bundle, when all else is removed."""
        if self._may_discard_log:
            await threads.run(discard_log, self._container.log_path)

    async def _start(self, conmon: Path) -> WaitingMonitor:
        """Not to be cancelled."""
        note = plan_note(self._container, self._handler, self._bundle, {})
        monitor = plan_monitor(self._container, note, conmon, self._places)
        launched = await threads.run(self._launch, note, replace(monitor, runtime=sealed(monitor.runtime)))
        return await WaitingMonitor.of(launched)

    def _launch(self, note: Note, monitor: Monitor) -> Launched:
        """All that blocks, in one turn of a thread."""
        open_bundle(note, self._notes)
        faults.reach("oci.create.noted")
        self._may_discard_log = bool(note.log_path) and not os.path.lexists(note.log_path)
        return launch(monitor, env={**environment(), "TMPDIR": str(self._places.sockets)})
