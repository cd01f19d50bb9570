"""Small files of a directory that are read again and again: only those that have changed."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Generic, TypeVar

T = TypeVar("T")

_Stamp = tuple[int, int, int]
"""Inode, time of the last change and size: another one when a file has been replaced."""


class Remembered(Generic[T]):
    """What was in files, by directory. For threads; files must be replaced, not written in place."""

    def __init__(self, suffix: str, read: Callable[[Path], T | None]) -> None:
        """``read`` is for files whose name ends with ``suffix``; None: there is nothing in it, or no such file."""
        self._suffix, self._read = suffix, read
        self._known: dict[Path, dict[str, tuple[_Stamp, T | None]]] = {}

    def by_name(self, directory: Path) -> dict[str, T | None]:
        """What is in the files of ``directory``, in their names' order; none when there is no such directory."""
        before, now = self._known.get(directory, {}), dict[str, tuple[_Stamp, T | None]]()
        for name, stamp in sorted(self._stamps(directory).items()):
            kept = before.get(name)
            now[name] = kept if kept and kept[0] == stamp else (stamp, self._read(directory / name))
        if now:
            self._known[directory] = now
        else:
            self._known.pop(directory, None)
        return {name: value for name, (_, value) in now.items()}

    def _stamps(self, directory: Path) -> dict[str, _Stamp]:
        stamps: dict[str, _Stamp] = {}
        with suppress(FileNotFoundError), os.scandir(directory) as entries:
            for entry in entries:
                if entry.name.endswith(self._suffix):
                    with suppress(FileNotFoundError):  # it has just gone
                        found = entry.stat(follow_symlinks=False)
                        stamps[entry.name] = found.st_ino, found.st_mtime_ns, found.st_size
        return stamps
