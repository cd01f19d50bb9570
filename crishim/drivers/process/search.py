"""Finding processes that a server which is no more has left behind. Reads the list of all processes."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

from crishim.drivers import threads
from crishim.drivers.process.identity import ProcessId, ended, identify, read_stat, send

# Bytes; what is looked for has some hundreds. Any process can show terabytes, see PR_SET_MM_ARG_END in prctl(2).
_LONGEST = 1 << 16


def command_lines() -> dict[ProcessId, tuple[str, ...]]:
    """Every process with the arguments it was started with, but for those that have very many."""
    found: dict[ProcessId, tuple[str, ...]] = {}
    for process in filter(None, map(identify, _pids())):
        try:
            with Path(f"/proc/{process.pid}/cmdline").open("rb") as file:
                text = file.read(_LONGEST)
        except (FileNotFoundError, ProcessLookupError):
            continue
        arguments = text.decode(errors="replace").split("\0")
        if len(arguments) > 1 and len(text) < _LONGEST and identify(process.pid) == process:
            found[process] = tuple(arguments[:-1])
    return found


def group_members(leader: ProcessId) -> list[ProcessId]:
    """The processes in the process group that ``leader`` leads, itself among them; none when it is gone."""
    stat = read_stat(leader.pid)
    if stat is None or stat.start != leader.start or stat.group != leader.pid:
        return []
    stats = ((pid, read_stat(pid)) for pid in _pids())
    return [ProcessId(pid, stat.start) for pid, stat in stats if stat and stat.group == leader.pid]


async def kill_group(leader: ProcessId) -> None:
    """Kill a process with the group it leads, if any, and return when all have ended; one that is gone is fine."""
    if identify(leader.pid) != leader:
        return
    members = await threads.run(group_members, leader)
    targets = dict.fromkeys((leader, *members))  # the leader first: it may act when one of them ends
    for process in targets:
        send(process, signal.SIGKILL)
    for process in targets:
        await ended(process)


def _pids() -> Iterator[int]:
    return (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit() and entry.name != "1")
