"""The directories of the layer being made: resolving, creating and keeping them open.

A path of an entry may run over symbolic links of this layer or of a lower one. They are resolved here, with the layer
as the root of everything, never by the kernel; what is opened is always one component without following links.

What is known of a directory, its times and whether it is opaque, is on the disk and nowhere else: an archive may name
any number of directories, each by a path of any length.
"""

from __future__ import annotations

import os
import stat
from collections import OrderedDict, deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from crishim.drivers.syscalls import step
from crishim.image.errors import LayerError
from crishim.image.unpack.header import show
from crishim.image.unpack.lower import WALK, Found, LowerLayers, is_opaque, is_whiteout, lstat_at, opened_parent
from crishim.image.unpack.metadata import copy_xattrs, path_of, set_opaque

_MAX_LINKS = 40
_MAX_DEPTH = 2048  # PATH_MAX of <linux/limits.h>, two bytes for each: no program can name what is deeper
_KEPT_OPEN = 64

Parts = tuple[bytes, ...]
Times = tuple[int, int]


@dataclass(slots=True)
class _Open:
    """A directory that is kept open, and its times as they shall be: making entries in it changes them."""

    fd: int
    times: Times


class Tree:
    """The directories under ``root``, an existing empty directory, above ``lower``. Close it to give the files back."""

    def __init__(self, root: Path, lower: LowerLayers) -> None:
        self._root = os.open(root, WALK)
        self._lower = lower
        self._open: OrderedDict[bytes, _Open] = OrderedDict()
        self._has_opaque = False
        self._root_times: Times | None = None
        self.made = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        for kept in self._open.values():
            os.close(kept.fd)
        os.close(self._root)

    def forget(self) -> None:
        """Close what is kept open: a directory has been replaced, so a path may mean another file now."""
        while self._open:
            self._close_oldest()

    def locate(self, path: bytes) -> tuple[int, Parts]:
        """A descriptor of the directory ``path``, made if need be, and where that really is.

        The descriptor is valid until the next call of ``locate`` or ``forget``. Only real paths are kept open, never
        paths over a link: a later entry may replace the link.
        """
        if not path:
            return self._root, ()
        if (kept := self._open.get(path)) is not None:
            self._open.move_to_end(path)
            return kept.fd, tuple(path.split(b"/"))
        parts = self.resolve(path)
        real = b"/".join(parts)
        if real not in self._open:
            self._keep(real, self._ensure(parts))
        return self._open[real].fd if real else self._root, parts

    def resolve(self, path: bytes) -> Parts:
        """Where ``path`` really leads; names that exist nowhere stand for themselves. Makes nothing."""
        _check_depth(path, path.count(b"/"))
        known = self._known_prefix(path)
        done: list[bytes] = known.split(b"/") if known else []
        todo = deque(path[len(known) :].split(b"/"))
        links = 0
        while todo:
            name = todo.popleft()
            if name == b"..":
                del done[-1:]
                continue
            if name in (b"", b"."):
                continue
            link = self._link_at((*done, name))
            if link is None:
                done.append(name)
                _check_depth(path, len(done))
                continue
            links += 1
            if links > _MAX_LINKS:
                raise LayerError(f"tar entry {show(path)}: too many levels of symbolic links")
            if link.startswith(b"/"):
                done.clear()
            todo.extendleft(reversed(link.split(b"/")))
        return tuple(done)

    def below(self, parts: Parts) -> Found | None:
        """What the lower layers show at ``parts`` through this layer's opaque directories."""
        return None if self._has_opaque and self._is_hidden(parts) else self._lower.lookup(parts)

    def here(self, parts: Parts) -> os.stat_result | None:
        """The status of ``parts`` in this layer alone."""
        with self._walk(parts[:-1]) as parent:
            return None if parent is None else lstat_at(parent, parts[-1])

    def make_opaque(self, parts: Parts) -> None:
        """Let the existing directory ``parts`` hide everything below."""
        with self._walk(parts[:-1]) as parent:
            if parts and parent is not None:
                set_opaque(parent, parts[-1])
                self._has_opaque = True

    def copy_root_metadata(self, found: Found) -> None:
        """Let the root look like that of the layer below until an entry says otherwise."""
        self._copy_metadata(self._root, (), found)

    def set_times(self, parent: int, parts: Parts, ns: Times) -> None:
        """Let the directory ``parts``, which lies in ``parent``, have the times ``ns`` whatever is made in it."""
        if not parts:
            self._root_times = ns
        elif (kept := self._open.get(b"/".join(parts))) is not None:
            kept.times = ns
        else:
            os.utime(parts[-1], ns=ns, dir_fd=parent, follow_symlinks=False)

    def finish(self) -> None:
        """Give the directories that are still open their times."""
        self.forget()
        if self._root_times is not None:
            os.utime(b".", ns=self._root_times, dir_fd=self._root)

    def _is_hidden(self, parts: Parts) -> bool:
        """Whether a directory of this layer on the way to ``parts`` is opaque."""
        fd = os.open(b".", WALK, dir_fd=self._root)
        try:
            for name in parts[:-1]:
                if is_opaque(fd, name):
                    return True
                fd = step(fd, name, WALK)
        except (FileNotFoundError, NotADirectoryError):
            pass
        finally:
            os.close(fd)
        return False

    def _link_at(self, parts: Parts) -> bytes | None:
        status = self.here(parts)
        if status is not None:
            if not stat.S_ISLNK(status.st_mode):
                return None
            with self._walk(parts[:-1]) as parent:
                return os.readlink(parts[-1], dir_fd=parent)
        found = self.below(parts)
        if found is None or not stat.S_ISLNK(found.status.st_mode):
            return None
        with opened_parent(found) as (directory, name):
            return os.readlink(name, dir_fd=directory)

    def _ensure(self, parts: Parts) -> int:
        """Open ``parts``, which has no links in it, making what is missing."""
        fd = os.open(b".", WALK, dir_fd=self._root)
        for length in range(1, len(parts) + 1):
            try:
                below = self._enter(fd, parts[:length])
            finally:
                os.close(fd)
            fd = below
        return fd

    def _enter(self, parent: int, parts: Parts) -> int:
        name = parts[-1]
        try:
            return os.open(name, WALK, dir_fd=parent)
        except FileNotFoundError:
            self._make_implicit(parent, parts)
        except OSError:
            status = lstat_at(parent, name)
            if status is None or not is_whiteout(status):
                raise LayerError(f"tar entry {show(b'/'.join(parts))}: not a directory") from None
            with _times_kept(parent):
                os.unlink(name, dir_fd=parent)
                os.mkdir(name, 0o755, dir_fd=parent)
            self.make_opaque(parts)
        return os.open(name, WALK, dir_fd=parent)

    def _make_implicit(self, parent: int, parts: Parts) -> None:
        """A directory the archive does not list: it looks like the one below, else like any other."""
        with _times_kept(parent):
            os.mkdir(parts[-1], 0o755, dir_fd=parent)
        self.made += 1
        found = self.below(parts)
        if found is not None and stat.S_ISDIR(found.status.st_mode):
            self._copy_metadata(parent, parts, found)

    def _copy_metadata(self, parent: int, parts: Parts, found: Found) -> None:
        """Give the directory ``parts`` owner, mode, attributes and times of ``found``."""
        name, status = parts[-1] if parts else b".", found.status
        os.chown(name, status.st_uid, status.st_gid, dir_fd=parent, follow_symlinks=False)
        os.chmod(name, stat.S_IMODE(status.st_mode), dir_fd=parent)
        with opened_parent(found) as (directory, lower_name):
            copy_xattrs(path_of(directory, lower_name), path_of(parent, name))
        self.set_times(parent, parts, _times(status))

    @contextmanager
    def _walk(self, parts: Parts) -> Iterator[int | None]:
        """The directory ``parts`` of this layer, None when it is not there as a directory."""
        kept = self._open.get(b"/".join(parts))
        if kept is not None or not parts:
            yield self._root if kept is None else kept.fd
            return
        fd, is_there = os.open(b".", WALK, dir_fd=self._root), True
        try:
            try:
                for name in parts:
                    fd = step(fd, name, WALK)
            except (FileNotFoundError, NotADirectoryError):
                is_there = False
            yield fd if is_there else None
        finally:
            os.close(fd)

    def _known_prefix(self, path: bytes) -> bytes:
        """The longest leading part of ``path`` that is kept open, and so is free of links."""
        while path and path not in self._open:
            path = path.rpartition(b"/")[0]
        return path

    def _keep(self, path: bytes, fd: int) -> None:
        self._open[path] = _Open(fd, _times(os.stat(fd)))
        if len(self._open) > _KEPT_OPEN:
            self._close_oldest()

    def _close_oldest(self) -> None:
        _, kept = self._open.popitem(last=False)
        try:
            with suppress(FileNotFoundError):  # it may have been removed
                os.utime(b".", ns=kept.times, dir_fd=kept.fd)
        finally:
            os.close(kept.fd)


def _times(status: os.stat_result) -> Times:
    return status.st_atime_ns, status.st_mtime_ns


@contextmanager
def _times_kept(directory: int) -> Iterator[None]:
    """What is made in ``directory`` inside does not change its times."""
    status = os.stat(directory)
    yield
    os.utime(b".", ns=_times(status), dir_fd=directory)


def _check_depth(path: bytes, depth: int) -> None:
    if depth > _MAX_DEPTH:
        raise LayerError(f"tar entry {show(path)}: more than {_MAX_DEPTH} directories deep")
