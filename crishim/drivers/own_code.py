"""The code of this process in memory. Two thirds of the pages that the start has touched are not touched again."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from crishim.drivers import syscalls

_SMAPS = Path("/proc/self/smaps")
_MAPPING = re.compile(r"([0-9a-f]+)-([0-9a-f]+) r-xp \S+ \S+ (?!0\b)")


def release_code() -> None:
    """Take the code that has run so far out of this process; what runs again is found in the page cache."""
    for start, end in executable_mappings(_SMAPS.read_text()):
        syscalls.dont_need(start, end - start)


def executable_mappings(smaps: str) -> Iterator[tuple[int, int]]:
    """Start and end of the code of files in a text of proc_pid_smaps(5), but for what differs from its file."""
    mapping: tuple[int, int] | None = None
    for line in smaps.splitlines():
        if not line[0].isupper():
            found = _MAPPING.match(line)
            mapping = (int(found[1], 16), int(found[2], 16)) if found else None
        elif mapping and line.split() == ["Anonymous:", "0", "kB"]:
            yield mapping
