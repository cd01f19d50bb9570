"""conmon's control FIFO: lines ``1 HEIGHT WIDTH`` (size of the terminal) and ``2 0 0`` (open the log anew)."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import anyio
from asyncinotify import Inotify, Mask

from crishim.core.errors import DeadlineError, FailedPreconditionError
from crishim.drivers import threads
from crishim.drivers.conmon.argv import MonitorFiles
from crishim.drivers.process.identity import ProcessId
from crishim.drivers.syscalls import system_call

REOPEN_SECONDS = 10.0
_ASK_AGAIN_SECONDS = 1.0  # conmon drops all but the first of the lines that it reads at once


def resize(files: MonitorFiles, width: int, height: int) -> None:
    """Set the size of the container's terminal, in characters."""
    _write(files, f"1 {height} {width}\n")


async def reopen_log(files: MonitorFiles, monitor: ProcessId, log_path: Path) -> None:
    """Let conmon go on with a new file at ``log_path``, and return when it does.

    While the file that it writes to is still there nothing is done: conmon would replace it, and lose what is in it.
    Raises FailedPreconditionError when the container has ended or its log directory is gone, DeadlineError when
    conmon does not answer.
    """
    if await threads.run(_writes_to, monitor, log_path):
        return
    if not await anyio.Path(log_path.parent).is_dir():  # conmon would end
        raise FailedPreconditionError(f"log {log_path}: its directory does not exist")
    inotify = Inotify()
    try:
        with system_call("watch", str(log_path.parent)):
            inotify.add_watch(log_path.parent, Mask.MOVED_TO | Mask.ONLYDIR)
        with anyio.move_on_after(REOPEN_SECONDS):
            while not await _reopened(files, inotify, log_path.name):
                pass
            return
    finally:
        await threads.run(inotify.close)
    raise DeadlineError(f"conmon did not open {log_path} anew within {REOPEN_SECONDS:g} s")


async def _reopened(files: MonitorFiles, inotify: Inotify, name: str) -> bool:
    """Ask once; whether the new file was put in its place in time."""
    _write(files, "2 0 0\n")
    with anyio.move_on_after(_ASK_AGAIN_SECONDS):
        while (event := await inotify.get()).name is None or event.name.name != name:
            pass
        return True
    return False


def _writes_to(monitor: ProcessId, path: Path) -> bool:
    """Whether a process has the file at ``path`` open."""
    wanted = _file_id(path)
    descriptors = Path(f"/proc/{monitor.pid}/fd")
    return wanted is not None and descriptors.is_dir() and wanted in map(_file_id, descriptors.iterdir())


def _file_id(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def _write(files: MonitorFiles, line: str) -> None:
    try:
        control = os.open(files.control, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in (errno.ENXIO, errno.ENOENT):
            raise FailedPreconditionError(f"container {files.container_id} has ended") from None
        with system_call("open", str(files.control)):
            raise
    try:
        with system_call("write", str(files.control)):
            os.write(control, line.encode())  # shorter than PIPE_BUF, so whole or not at all
    finally:
        os.close(control)
