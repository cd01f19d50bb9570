"""Executable plugins that outlive the program that started them.

A plugin does not end when its caller is killed. Its ADD may come to an end while the caller, started again, is
already undoing it, and what it made then would stay for ever. So such plugins are ended before anything is undone.
They and their children are known by ``CNI_COMMAND`` and ``CNI_CONTAINERID`` in their environment.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path

from anyio import to_thread

from cni_runtime.errors import CniError, ErrorCode

_PATIENCE = 5.0  # seconds for killed plugins to be gone
_PAUSE = 0.01
# Bytes; a plugin has a few thousand. Any process can show terabytes, see PR_SET_MM_ENV_END in prctl(2).
_LARGEST = 1 << 18


async def end_leftovers(container_ids: Collection[str]) -> int:
    """Kill every plugin that runs for one of ``container_ids`` and wait until all are gone; returns how many.

    For the start of a program, before it has called a plugin itself. Looks at every process of the machine once,
    a few milliseconds. Raises CniError (TRY_AGAIN_LATER) when one is still there after five seconds.
    """
    return await to_thread.run_sync(_end, frozenset(container_ids)) if container_ids else 0


def _end(container_ids: frozenset[str]) -> int:
    deadline = time.monotonic() + _PATIENCE
    killed: set[int] = set()
    # A plugin may fork between the look and the kill, hence again until none is found.
    while found := set(_kill_all(container_ids)):
        killed |= found
        if time.monotonic() > deadline:
            pids = ", ".join(map(str, sorted(found)))
            raise CniError(f"plugins of an earlier run do not end: pid {pids}", code=ErrorCode.TRY_AGAIN_LATER)
        time.sleep(_PAUSE)
    return len(killed)


def _kill_all(container_ids: frozenset[str]) -> Iterator[int]:
    for entry in Path("/proc").iterdir():
        pid = int(entry.name) if entry.name.isdigit() else 0
        if pid <= 1 or pid == os.getpid():
            continue
        with suppress(OSError):
            # Opened before the environment is read: pid cannot come to mean another process in between.
            pidfd = os.pidfd_open(pid)
            try:
                if _runs_for(pid, container_ids):
                    signal.pidfd_send_signal(pidfd, signal.SIGKILL)
                    yield pid
            finally:
                os.close(pidfd)


def _runs_for(pid: int, container_ids: frozenset[str]) -> bool:
    # A process that has ended, reaped or not, has no environment any more.
    with Path(f"/proc/{pid}/environ").open("rb") as file:
        pairs = [pair.partition(b"=") for pair in file.read(_LARGEST).split(b"\0")]
    variables = {name: value.decode(errors="surrogateescape") for name, _, value in pairs}
    return b"CNI_COMMAND" in variables and variables.get(b"CNI_CONTAINERID") in container_ids
