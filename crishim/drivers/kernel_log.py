"""What the kernel has said of processes that it killed because memory ran out.

Its log outlives a control group and names the one that each of them was in. It is read as a whole, which takes some
milliseconds, so this is for when nothing else is left to ask. See Documentation/ABI/testing/dev-kmsg of the kernel.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

_LOG = Path("/dev/kmsg")
_LONGEST = 8192  # bytes; every read(2) gives one record, and fails when there is no room for it
_GROUP, _AFTER_GROUP = "task_memcg=", ",task="  # of dump_oom_victim in mm/oom_kill.c


def killed_in(group: str, log: Path = _LOG) -> bool:
    """Whether the kernel says that it killed a process in the control group ``group``, a path, or below it.

    False when it has said so much since then that this is lost, or the log cannot be read. Blocks.
    """
    with suppress(OSError):
        # The kernel starts at its own root, which a node that is a container itself does not see.
        return any(f"{group}/" in f"{_group_of(record)}/" for record in _records(log))
    return False


def _records(log: Path) -> Iterator[str]:
    file = os.open(log, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        while True:
            try:
                record = os.read(file, _LONGEST)
            except BrokenPipeError:  # this record has been overwritten; the next read gives the oldest that is left
                continue
            except BlockingIOError:
                return
            if not record:
                return
            yield os.fsdecode(record)
    finally:
        os.close(file)


def _group_of(record: str) -> str:
    """The group in a record about a process that was killed for want of memory, nothing in others."""
    _, _, rest = record.partition(_GROUP)
    group, found, _ = rest.partition(_AFTER_GROUP)
    return group if found else ""
