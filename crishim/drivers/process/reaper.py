"""Reaping orphans: what descendants of this process leave behind becomes its child, and a zombie when it ends.

Every other child belongs to whoever started it, in this program or in a library of it, and is waited for there. Who
started what, the kernel does not tell. But

- what is started here in a PID namespace of its own has its ``Child`` from the start, so any other zombie of such a
  namespace is an orphan and is reaped at once: until it is, the first process of that namespace cannot end, and
  neither can its container;
- whoever waits for a child does so at once, so what is a zombie for ``GRACE_SECONDS`` is an orphan too.
"""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import suppress
from pathlib import Path

import structlog

from crishim.drivers.process.child import note_reaped
from crishim.drivers.process.identity import ProcessId, read_stat, status_of
from crishim.drivers.process.spawn import is_child
from crishim.drivers.syscalls import become_subreaper, system_call

_log = structlog.get_logger()

GRACE_SECONDS = 2.0


def adopt_orphans() -> None:
    """Make this process the one that orphans of its descendants are left to, from now on."""
    with system_call("prctl", "PR_SET_CHILD_SUBREAPER"):
        become_subreaper()


async def reap_orphans(grace: float = GRACE_SECONDS) -> None:
    """Reap orphans, for ever. To be run in the main thread.

    Where there is no descriptor or no memory left to look at them, it is tried again after ``grace`` (seconds).
    """
    loop = asyncio.get_running_loop()
    child_ended = asyncio.Event()
    loop.add_signal_handler(signal.SIGCHLD, child_ended.set)
    child_ended.set()  # for what ended before there was a handler
    waiting: dict[ProcessId, float] = {}
    unseen = False
    try:
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(child_ended.wait(), grace if waiting or unseen else None)
            child_ended.clear()
            try:
                waiting, unseen = _sweep(waiting, loop.time(), grace), False
            except OSError as error:  # when this is over no signal tells
                if not unseen:
                    _log.warning("process.orphans_not_seen", error=str(error))
                unseen = True
    finally:
        loop.remove_signal_handler(signal.SIGCHLD)


def _sweep(waiting: dict[ProcessId, float], now: float, grace: float) -> dict[ProcessId, float]:
    """Reap the orphans there are; the other zombies, and since when they are known."""
    left: dict[ProcessId, float] = {}
    for zombie in _zombies():
        since = waiting.get(zombie, now)
        if now - since >= grace or _is_of_another_namespace(zombie.pid):
            _reap(zombie.pid)
        else:
            left[zombie] = since
    return left


def _reap(pid: int) -> None:
    with suppress(ChildProcessError):
        info = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG)
        if info is not None:
            status = status_of(info)
            note_reaped(pid, status)
            _log.debug("process.orphan_reaped", pid=pid, status=status)


def _zombies() -> list[ProcessId]:
    if not _has_zombies():  # mostly so: whoever waited for the child that ended has reaped it by now
        return []
    # The kernel leaves orphans to the first thread of a process.
    listed = Path(f"/proc/self/task/{os.getpid()}/children").read_text(encoding="ascii").split()
    stats = ((pid, read_stat(pid)) for pid in map(int, listed) if not is_child(pid))
    return [ProcessId(pid, stat.start) for pid, stat in stats if stat and stat.has_ended]


def _has_zombies() -> bool:
    """Whether any child has ended and was not reaped, whoever started it."""
    try:
        return os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:  # there are no children
        return False


def _is_of_another_namespace(pid: int) -> bool:
    """Whether a process has an id in a PID namespace below the one of this process, too; see proc(5), NSpid."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(errors="replace").splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return any(line.startswith("NSpid:") and len(line.split()) > 2 for line in lines)
