"""The kernel's wait before a process can be moved into another group, begun early.

The kernel lets processes be moved only after an RCU grace period, some ten milliseconds, unless others were moved just
before; while somebody waits for that, no group can be made either. An OCI runtime would meet that wait in the middle of
making a container. Moving this process to where it is already changes nothing and has the same wait, which so passes
before: while a pod is being made, or at least while the OCI runtime is being started. Some fifteen milliseconds after a
move the kernel has to wait again.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from crishim.core.clock import monotonic
from crishim.drivers import threads
from crishim.drivers.cgroups.hierarchy import Hierarchies

_READY = 0.005  # seconds after a move; the kernel is ready for longer, but the OCI runtime takes some of that, too


class Moves:
    """Begins the wait, once at a time."""

    def __init__(self, own_group: Path | None, clock: Callable[[], float] = monotonic) -> None:
        """``own_group`` is where this process is in any hierarchy; None: not known, so nothing is ever done.

        ``clock`` tells seconds.
        """
        self._own_group, self._clock = own_group, clock
        self._last: asyncio.Future[float] | None = None  # when it was over

    def expect(self) -> None:
        """A process will be moved in a few milliseconds. Returns at once, and never fails."""
        last = self._last
        if self._own_group is None or (last and (not last.done() or self._clock() < last.result() + _READY)):
            return
        with suppress(RuntimeError):  # there can be no more threads: the OCI runtime then waits itself
            self._last = threads.start(_move_nowhere, self._own_group, self._clock)


def own_group(mounted: Hierarchies, membership: str) -> Path | None:
    """The group of a process in some hierarchy, by the text of its ``/proc/PID/cgroup``; see cgroups(7)."""
    for line in membership.splitlines():
        number, _, rest = line.partition(":")
        controllers, _, group = rest.partition(":")
        root = mounted.unified if number == "0" else mounted.controllers.get(controllers.split(",")[0])
        if root is not None:
            return root / group.lstrip("/")
    return None


def _move_nowhere(group: Path, clock: Callable[[], float]) -> float:
    """Returns the time when it was over."""
    with suppress(OSError):  # whatever the reason is, the OCI runtime then waits itself
        file = os.open(group / "cgroup.procs", os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(file, b"0")  # stands for the writer
        finally:
            os.close(file)
    return clock()
