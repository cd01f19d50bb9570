"""Watches on every directory that a configuration directory depends on.

Source: inotify(7). Events say that something happened, never what there is now: whoever gets one looks again.
"""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path

from asyncinotify import Event, Inotify, Mask

from cni_runtime.conf.lookup import Concerns, concerns

_ATTEMPTS = 5
_ENTRIES = Mask.CREATE | Mask.DELETE | Mask.MOVE | Mask.DELETE_SELF | Mask.MOVE_SELF | Mask.ONLYDIR
_CONTENTS = Mask.MODIFY | Mask.CLOSE_WRITE


class Watches:
    """Watches on all that a directory depends on."""

    def __init__(self, inotify: Inotify, watched: Concerns) -> None:
        self._inotify, self._watched = inotify, watched

    async def changed(self) -> None:
        """Return as soon as something happens that matters."""
        while not self._matters(await self._inotify.get()):
            pass

    def close(self) -> None:
        """Stop watching; the kernel may take some milliseconds for it."""
        self._inotify.close()

    def _matters(self, event: Event) -> bool:
        if event.watch is None or event.name is None:  # events were lost, or a directory itself has gone
            return True
        names = self._watched.get(event.watch.path)
        return names is None or str(event.name) in names


def open_watches(directory: Path) -> Watches:
    """Watch all that ``directory`` depends on now. Raises OSError when inotify is not to be had."""
    for _ in range(_ATTEMPTS):
        with ExitStack() as undo:
            wanted = concerns(directory)
            inotify = undo.enter_context(Inotify())
            os.set_blocking(inotify.fd, False)
            # What changed before its watch was there is seen by looking again.
            if _add(inotify, wanted) and concerns(directory) == wanted:
                undo.pop_all()
                return Watches(inotify, wanted)
    raise OSError("its content does not stand still")


def _add(inotify: Inotify, wanted: Concerns) -> bool:
    """Watch all of ``wanted``; False when one of them has gone."""
    try:
        for path, names in wanted.items():
            inotify.add_watch(path, _ENTRIES if _are_directories(path, names) else _ENTRIES | _CONTENTS)
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def _are_directories(path: Path, names: frozenset[str] | None) -> bool:
    """Whether only directories matter in ``path``, so that what is written to files, maybe all the time, does not."""
    return names is not None and all((path / name).is_dir() for name in names)
