"""Ending what runs in a group, removing groups, and whether the kernel had to kill for want of memory."""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from crishim.drivers import threads
from crishim.drivers.cgroups.hierarchy import Hierarchies, hierarchies
from crishim.drivers.cgroups.moves import Moves, own_group
from crishim.drivers.cgroups.stats import read_pairs
from crishim.drivers.mounts import read_mounts
from crishim.drivers.process.identity import ProcessId, ended, identify, send
from crishim.drivers.syscalls import system_call

_MEMBERSHIP = Path("/proc/self/cgroup")
_ATTEMPTS = 5  # to remove a group that is refilled meanwhile
_ROUNDS = 1000  # of killing what is started faster than it is killed


class ControlGroups:
    """The groups of this node, by path from the roots of the hierarchies. One that is not there has no processes.

    Every call raises SystemCallError when the kernel refuses.
    """

    def __init__(self, mounted: Hierarchies, own: Path | None = None) -> None:
        """``own`` is where this process is in any of the hierarchies."""
        self._mounted = mounted
        self._moves = Moves(own)

    @classmethod
    async def open(cls) -> ControlGroups:
        """The groups in the hierarchies that are mounted now."""
        return await threads.run(cls._open)

    @classmethod
    def _open(cls) -> ControlGroups:
        mounted = hierarchies(read_mounts())
        with system_call("read", str(_MEMBERSHIP)):
            return cls(mounted, own_group(mounted, _MEMBERSHIP.read_text(errors="surrogateescape")))

    def expect_moves(self) -> None:
        """A process will be moved into a group in a few milliseconds: let the kernel get ready for it now."""
        self._moves.expect()

    async def kill(self, group: str) -> frozenset[ProcessId]:
        """Send SIGKILL to every process in the group and below it, also to those that are started meanwhile.

        Returns whom it was sent to; they may not have ended yet.
        """
        return await threads.run(_kill, self._mounted.few_directories(group))

    async def remove(self, group: str) -> None:
        """Kill what is in the group and remove it with all below it; not there is as good as removed."""
        directories = self._mounted.directories(group)
        for _ in range(_ATTEMPTS):
            if not await threads.run(_remove, directories):
                return
            for process in await threads.run(_kill, directories):
                await ended(process)
        with system_call("rmdir", group):
            raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))

    def oom_kills(self, group: str) -> int:
        """How many processes of the group the kernel killed because memory ran out; 0 when it is not there.

        Reads one short file.
        """
        directory = self._mounted.directory("memory", group)
        if directory is None:
            return 0
        name = "memory.oom_control" if "memory" in self._mounted.controllers else "memory.events"
        return read_pairs(directory / name).get("oom_kill", 0)


def _processes(directories: Iterable[Path]) -> frozenset[int]:
    places = (Path(place) for directory in directories for place, _, _ in os.walk(directory))
    return frozenset(pid for place in places for pid in _read_procs(place))


def _read_procs(directory: Path) -> list[int]:
    try:
        return [int(line) for line in (directory / "cgroup.procs").read_text(encoding="ascii").split()]
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENODEV, errno.EOPNOTSUPP):  # removed, or a group of threads
            return []
        with system_call("read", f"{directory}/cgroup.procs"):
            raise


def _kill(directories: Sequence[Path]) -> frozenset[ProcessId]:
    """Kill all there is and all that it starts meanwhile; returns whom."""
    for directory in directories:
        with suppress(FileNotFoundError, NotADirectoryError), (directory / "cgroup.kill").open("r+") as file:
            file.write("1")  # all at once; only version 2 has it, since Linux 5.14
    killed: set[ProcessId] = set()
    for _ in range(_ROUNDS):
        named = [process for pid in _processes(directories) if (process := identify(pid))]
        # An id that is still listed after it was looked up was not looked up for a stranger.
        listed = _processes(directories)
        fresh = {process for process in named if process.pid in listed} - killed
        if not fresh:
            break
        for process in fresh:
            send(process, signal.SIGKILL)
        killed |= fresh
    return frozenset(killed)


def _remove(directories: Iterable[Path]) -> bool:
    """Remove the groups; whether something is left because there are processes in it."""
    busy = False
    for directory in directories:
        for place, _, _ in os.walk(directory, topdown=False):
            try:
                Path(place).rmdir()
            except FileNotFoundError:
                continue
            except OSError as error:
                if error.errno != errno.EBUSY:
                    with system_call("rmdir", place):
                        raise
                busy = True
    return busy
