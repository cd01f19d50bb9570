"""The code of this process in memory. Two thirds of the pages that the start has touched are not touched again."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import structlog

from crishim.drivers import syscalls

_log = structlog.get_logger()
_SMAPS = Path("/proc/self/smaps")
_MAPPING = re.compile(r"([0-9a-f]+)-([0-9a-f]+) r-xp \S+ \S+ (?!0\b)")


def release_code(smaps: Path = _SMAPS) -> None:
    """Take the code that has run so far out of this process; what runs again is found in the page cache.

    A kernel that does not tell what is mapped, or keeps it (MADV_DONTNEED is refused for locked memory), is logged.
    """
    try:
        for start, end in executable_mappings(smaps.read_text(errors="replace")):
            syscalls.dont_need(start, end - start)
    except OSError as error:
        _log.warning("code.kept", error=str(error))


def executable_mappings(smaps: str) -> Iterator[tuple[int, int]]:
    """Start and end of the code of files in a text of proc_pid_smaps(5), but for what differs from its file."""
    mapping: tuple[int, int] | None = None
    for line in smaps.split("\n"):  # only that ends a line: the names of files may hold other separators
        if not line[:1].isupper():
            found = _MAPPING.match(line)
            mapping = (int(found[1], 16), int(found[2], 16)) if found else None
        elif mapping and line.split() == ["Anonymous:", "0", "kB"]:
            yield mapping
