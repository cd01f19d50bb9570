"""The lock of a reservation directory: the reference plugin's file lock, with a time-out that names the holder."""

from __future__ import annotations

import fcntl
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cni_runtime.errors import CniError, ErrorCode

_FIRST_PAUSE, _LONGEST_PAUSE = 0.0005, 0.02


class DirectoryLock:
    """Among threads a lock of this process; among processes ``flock`` on the file ``lock`` in the directory."""

    def __init__(self, directory: Path, timeout: float = 10.0) -> None:
        """``timeout`` is in seconds."""
        self._path = directory / "lock"
        self._timeout = timeout
        self._threads = threading.Lock()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold it. Raises CniError (TRY_AGAIN_LATER) when another one holds it for longer than the time-out."""
        deadline = time.monotonic() + self._timeout
        if not self._threads.acquire(timeout=self._timeout):
            raise self._busy("another thread of this process")
        try:
            handle = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                self._wait(handle, deadline)
                yield
            finally:
                os.close(handle)
        finally:
            self._threads.release()

    def _wait(self, handle: int, deadline: float) -> None:
        pause = _FIRST_PAUSE
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    raise self._busy(holder_of(os.fstat(handle).st_ino)) from None
            else:
                return
            time.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)

    def _busy(self, holder: str) -> CniError:
        message = f"{self._path} is locked by {holder} for more than {self._timeout:g} s"
        return CniError(message, code=ErrorCode.TRY_AGAIN_LATER)


def holder_of(inode: int) -> str:
    """Who has the lock on the file of that inode, by /proc/locks."""
    for line in Path("/proc/locks").read_text().splitlines():
        fields = line.split()
        # "1: FLOCK ADVISORY WRITE 1234 fe:00:5678 0 EOF"; a line of one who waits has "->" in the second field.
        if fields[1] == "FLOCK" and fields[5].rpartition(":")[2] == str(inode):
            return f"process {fields[4]} ({_command(fields[4])})"
    return "a process that is not visible here"


def _command(pid: str) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return "gone"
