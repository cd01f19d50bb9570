"""Ending what runs in a group, removing groups, and whether the kernel had to kill for want of memory."""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from crishim.drivers import threads
from crishim.drivers.cgroups.files import read_pairs
from crishim.drivers.cgroups.hierarchy import Hierarchies, hierarchies
from crishim.drivers.cgroups.moves import Moves, own_group
from crishim.drivers.kernel_log import killed_in
from crishim.drivers.mounts import read_mounts
from crishim.drivers.process.identity import ProcessId, ended, identify, send
from crishim.drivers.syscalls import step, system_call

_MEMBERSHIP = Path("/proc/self/cgroup")
_NOTHING_THERE = (errno.ENOENT, errno.ENODEV, errno.EOPNOTSUPP)  # the group was removed, or is one of threads
_ATTEMPTS = 5  # to remove a group that is refilled meanwhile
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
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
        if not any(map(os.path.exists, directories)):  # mostly so: the OCI runtime has removed it
            return
        for _ in range(_ATTEMPTS):
            if not await threads.run(_remove, directories):
                return
            for process in await threads.run(_kill, directories):
                await ended(process)
        with system_call("rmdir", group):
            raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))

    async def ran_out_of_memory(self, group: str) -> bool:
        """Whether the kernel killed a process of the group because memory ran out.

        Reads one short file, if the group is still there. systemd removes a scope as soon as the last process has
        ended; then it may take the kernel's log.
        """
        directory = self._mounted.directory("memory", group)
        if directory is None:
            return False
        kills = self._oom_kills(directory)
        if kills is None and not self._none_in_parent(directory):
            return await threads.run(killed_in, group)
        return bool(kills)

    def lift_cpu_quota(self, group: str) -> bool:
        """Take the CPU quota of a group away in version 1; False, and nothing is done, in version 2."""
        if "cpu" not in self._mounted.controllers:
            return False
        file = self._mounted.controllers["cpu"] / group.lstrip("/") / "cpu.cfs_quota_us"
        with system_call("write", str(file)):
            file.write_text("-1")
        return True

    def _oom_kills(self, directory: Path) -> int | None:
        """How many processes the kernel killed for want of memory; None when the group is not there."""
        name = "memory.oom_control" if "memory" in self._mounted.controllers else "memory.events"
        return read_pairs(directory / name).get("oom_kill")

    def _none_in_parent(self, directory: Path) -> bool:
        """Whether no group was ever hit below the parent, which counts what is removed too, but only in version 2."""
        return "memory" not in self._mounted.controllers and self._oom_kills(directory.parent) == 0


def processes(directories: Iterable[Path]) -> frozenset[int]:
    """The ids of the processes in the groups and below them. Raises SystemCallError."""
    groups = (group for directory in directories for group in _groups(directory))
    return frozenset(pid for name, parent in groups for pid in _read_procs(f"{name}/cgroup.procs", parent))


def _read_procs(path: str, parent: int | None) -> list[int]:
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_CLOEXEC, dir_fd=parent), encoding="ascii") as file:
            return [int(line) for line in file.read().split()]
    except OSError as error:
        if error.errno in _NOTHING_THERE:
            return []
        with system_call("read", path):
            raise


def _groups(top: Path) -> Iterator[tuple[str, int | None]]:
    """All groups below ``top``, the lowest first, then itself: its name, and the open directory that it is in, if any.

    A container can nest groups deeper than functions nest and paths are long, but it cannot move one elsewhere. So one
    directory at a time is open, and ".." leads back.
    """
    with system_call("open", str(top)):
        try:
            here = os.open(top, _DIRECTORY)
        except (FileNotFoundError, NotADirectoryError):
            return
        try:
            way: list[str] = []
            todo = [_names(here)]
            while todo:
                if todo[-1]:
                    name = todo[-1].pop()
                    with suppress(FileNotFoundError):
                        here = step(here, name, _DIRECTORY)
                        way.append(name)
                        todo.append(_names(here))
                else:
                    todo.pop()
                    if way:
                        here = step(here, "..", _DIRECTORY)
                        yield way.pop(), here
        finally:
            os.close(here)
    yield str(top), None


def _names(directory: int) -> list[str]:
    with suppress(FileNotFoundError), os.scandir(directory) as entries:
        return [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    return []  # the group has been removed


def _kill(directories: Sequence[Path]) -> frozenset[ProcessId]:
    """Kill all there is and all that it starts meanwhile; returns whom."""
    for directory in directories:
        _kill_at_once(directory / "cgroup.kill")
    killed: set[ProcessId] = set()
    for _ in range(_ROUNDS):
        named = [process for pid in processes(directories) if (process := identify(pid))]
        # An id that is still listed after it was looked up was not looked up for a stranger.
        listed = processes(directories) if named else ()
        fresh = {process for process in named if process.pid in listed} - killed
        if not fresh:
            break
        for process in fresh:
            send(process, signal.SIGKILL)
        killed |= fresh
    return frozenset(killed)


def _kill_at_once(file: Path) -> None:
    """Only version 2 can do that, since Linux 5.14."""
    try:
        kill = os.open(file, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(kill, b"1")
        finally:
            os.close(kill)
    except OSError as error:
        if error.errno in (*_NOTHING_THERE, errno.ENOTDIR):
            return
        with system_call("write", str(file)):
            raise


def _remove(directories: Iterable[Path]) -> bool:
    """Remove the groups; whether something is left because there are processes in it."""
    busy = False
    for directory in directories:
        for name, parent in _groups(directory):
            try:
                os.rmdir(name, dir_fd=parent)
            except FileNotFoundError:
                continue
            except OSError as error:
                if error.errno != errno.EBUSY:
                    with system_call("rmdir", name):
                        raise
                busy = True
    return busy
