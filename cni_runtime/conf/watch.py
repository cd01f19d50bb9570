"""A configuration directory that is kept up to date in memory.

Each round: watch everything that the directory depends on, load it, wait for a change, let the dust settle. Loading
comes after watching, so no change is missed; watching starts anew each time, so it never outlives what it watches.

A file that goes bad keeps the network it gave before in force until it is mended or deleted. Deleted files, and a
deleted directory, take their networks with them.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import anyio
from anyio import to_thread

from cni_runtime.conf.discovery import load_conf_dir
from cni_runtime.conf.inotify import Watches, open_watches
from cni_runtime.conf.types import ConfDir, NetworkList, SkippedFile

_SETTLE = 0.1  # seconds in which changes are taken together


class Snapshot(ConfDir, frozen=True):
    """The networks in force and the files that are not, at ``loaded_at`` (seconds since the epoch).

    A network whose source is also among ``skipped`` comes from an earlier state of that file. ``unwatched`` says why
    changes are only looked for every few seconds; it is empty when they are noticed at once.
    """

    loaded_at: float = 0.0
    unwatched: str = ""


class ConfDirWatcher:
    """Keeps ``snapshot`` in step with a directory, which need not exist.

    ``max_num`` limits the networks in force, 0: no limit. ``on_change`` is called on the event loop with each
    snapshot that differs from the one before. While nothing can be watched, the directory is loaded every ``poll``
    seconds.
    """

    def __init__(
        self,
        directory: Path,
        max_num: int = 0,
        *,
        on_change: Callable[[Snapshot], None] | None = None,
        poll: float = 5.0,
        open_watches: Callable[[Path], Watches] = open_watches,
    ) -> None:
        self._directory, self._max_num, self._on_change = directory, max_num, on_change
        self._poll, self._open_watches = poll, open_watches
        self._snapshot = Snapshot(directory)
        self._loading = anyio.Lock()
        self._unwatched = ""

    @property
    def snapshot(self) -> Snapshot:
        """What was loaded last; empty before the first load."""
        return self._snapshot

    async def reload(self) -> Snapshot:
        """Load now, and return what is in force after it."""
        async with self._loading:
            loaded = await to_thread.run_sync(load_conf_dir, self._directory)
            before = self._snapshot
            merged = keep_last_good(before, loaded, self._max_num)
            now = Snapshot(merged.directory, merged.networks, merged.skipped, time.time(), self._unwatched)
            self._snapshot = now
        if self._on_change is not None and _essence(before) != _essence(now):
            self._on_change(now)
        return now

    async def run(self) -> None:
        """Follow the directory until cancelled. The first thing it does is to load."""
        while True:
            try:
                await self._follow()
                await anyio.sleep(_SETTLE)
            except (OSError, RuntimeError) as exc:  # the user's inotify instances, watches or threads are used up
                self._unwatched = f"cannot watch {self._directory}: {exc}"
                with suppress(RuntimeError):
                    await self.reload()
                await anyio.sleep(self._poll)

    async def _follow(self) -> None:
        """One round, up to a change. Raises OSError and, when no thread can be started, RuntimeError."""
        watches = await to_thread.run_sync(self._open_watches, self._directory)
        self._unwatched = ""
        try:
            await self.reload()
            await watches.changed()
        finally:
            with anyio.CancelScope(shield=True):
                await _close(watches)


async def _close(watches: Watches) -> None:
    try:
        await to_thread.run_sync(watches.close)
    except RuntimeError:  # no thread can be started
        watches.close()


def keep_last_good(before: ConfDir, loaded: ConfDir, max_num: int = 0) -> ConfDir:
    """``loaded``, with the networks of ``before`` in the place of files that have gone bad since.

    At most ``max_num`` networks (0: all), and only those bad files that stand before the last of them.
    """
    known = {network.source: network for network in before.networks}
    unreadable = [skipped for skipped in loaded.skipped if skipped.path == loaded.directory]
    if unreadable:
        return ConfDir(loaded.directory, before.networks, loaded.skipped)
    found: dict[Path, NetworkList | SkippedFile] = {Path(network.source): network for network in loaded.networks}
    found |= {skipped.path: skipped for skipped in loaded.skipped}
    networks: list[NetworkList] = []
    skipped: list[SkippedFile] = []
    for path in sorted(found):
        if len(networks) == max_num > 0:
            break
        item = found[path]
        if isinstance(item, SkippedFile):
            skipped.append(item)
        network = known.get(str(path)) if isinstance(item, SkippedFile) else item
        if network is not None:
            networks.append(network)
    return ConfDir(loaded.directory, tuple(networks), tuple(skipped))


def _essence(conf: ConfDir) -> tuple[object, ...]:
    """What makes two snapshots different; errors compare by what they say."""
    return conf.networks, [(skipped.path, str(skipped.error)) for skipped in conf.skipped]
