"""What a server, and all it starts for pods, has of the machine's memory."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

from hack.benchmark.lives import WORKLOAD

_HOST = "throwaway"
_MIB = 1024  # KiB, in which the kernel counts


def memory(root: int) -> float:
    """The memory (MiB) of all processes that descend from ``root``, without workloads and the throw-away host's own.

    A process counts with its share of what it has in common with others (PSS, see proc(5) on smaps_rollup). But a
    server shares its libraries with this very program, which must not make it look smaller: a program that runs only
    once counts with all it has.
    """
    pids = [pid for pid in _descendants(root) if _counts(pid)]
    running = Counter(map(_program, pids))
    return sum(_kib(pid, "Pss" if running[_program(pid)] > 1 else "Rss") for pid in pids) / _MIB


def _counts(pid: int) -> bool:
    try:
        arguments = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except (FileNotFoundError, ProcessLookupError):
        return False
    if not arguments[0]:
        return False  # it has ended
    of_host = any(Path(argument.decode(errors="replace")).name == _HOST for argument in arguments[:2])
    return not of_host and arguments[0] != WORKLOAD.encode()


def _program(pid: int) -> str:
    return str(Path(f"/proc/{pid}/exe").readlink())


def _kib(pid: int, name: str) -> int:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


def _descendants(root: int) -> Iterator[int]:
    children: dict[int, list[int]] = defaultdict(list)
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_bytes().rpartition(b")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        children[int(fields[1])].append(int(stat.parent.name))
    waiting = [root]
    while waiting:
        pid = waiting.pop()
        yield pid
        waiting += children[pid]
