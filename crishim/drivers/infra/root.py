"""The root of infra processes: a mount namespace with nothing in it but a copy of their program, in memory.

It is made once. Every process gets a copy of the namespace, which costs next to nothing however many mounts the node
has, and no process ever is in the first one: whoever changes mounts in a copy changes no other.
"""

from __future__ import annotations

import errno
import os
import threading
import time
from pathlib import Path

from crishim.drivers import syscalls
from crishim.drivers.syscalls import system_call

PROGRAM = "/catatonit"
NOTHING = "/nothing"
"""An empty file, to be standard input and output."""

_MOST_FILES = 8
_ROOM = 64 << 10  # bytes beside the program
_SECONDS, _PAUSE = 5.0, 0.001  # until nobody has the program open for writing

_Version = tuple[int, int, int, int]


class EmptyRoot:
    """Makes the namespace when it is asked for, and again when the program has been replaced on the node."""

    def __init__(self, program: Path, place: Path) -> None:
        """``place``: any directory of the node; what is mounted there meanwhile is seen by nobody."""
        self._program, self._place = program, place
        self._made: tuple[_Version, int] | None = None
        self._lock = threading.Lock()

    def enter(self) -> None:
        """Put the calling thread, which must end afterwards, into a copy of the namespace. Raises SystemCallError.

        The thread then sees nothing of the node, not even /proc.
        """
        with self._lock, system_call("enter", "an empty root"):
            syscalls.unshare(syscalls.CLONE_FS)
            syscalls.setns(self._namespace(), syscalls.CLONE_NEWNS)
            syscalls.unshare(syscalls.CLONE_NEWNS)

    def _namespace(self) -> int:
        with system_call("look at", str(self._program)):
            status = self._program.stat()
        version = status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
        if self._made is None or self._made[0] != version:
            namespace = self._make()
            if self._made is not None:
                os.close(self._made[1])
            self._made = version, namespace
        return self._made[1]

    def _make(self) -> int:
        place, flags = str(self._place), syscalls.MS_NOSUID | syscalls.MS_NODEV
        program, nothing = Path(place + PROGRAM), Path(place + NOTHING)
        content = self._program.read_bytes()  # before anything is put over it
        syscalls.unshare(syscalls.CLONE_NEWNS)
        syscalls.mount("", "/", "", syscalls.MS_REC | syscalls.MS_PRIVATE)
        syscalls.mount("infra", place, "tmpfs", flags, f"mode=755,size={len(content) + _ROOM},nr_inodes={_MOST_FILES}")
        program.write_bytes(content)
        program.chmod(0o111)  # who may not read its own program cannot be traced by others of the same user
        nothing.touch()
        nothing.chmod(0o444)
        _make_read_only(place, flags)
        namespace = os.open("/proc/thread-self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.chdir(place)
            syscalls.pivot_root(".", ".")  # the old root is put on top of the new one, and goes
            syscalls.umount2(".", syscalls.MNT_DETACH)
            os.chdir("/")
        except BaseException:
            os.close(namespace)
            raise
        return namespace


def _make_read_only(place: str, flags: int) -> None:
    """Processes that other threads are just starting have what is open here open too, until they execute a program."""
    end = time.monotonic() + _SECONDS
    while True:
        try:
            syscalls.mount("", place, "", flags | syscalls.MS_REMOUNT | syscalls.MS_RDONLY)
        except OSError as error:
            if error.errno != errno.EBUSY or time.monotonic() > end:
                raise
            time.sleep(_PAUSE)
        else:
            return
