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
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from crishim.image.errors import LayerError
from crishim.image.unpack.header import show
from crishim.image.unpack.lower import WALK, Found, is_whiteout
from crishim.image.unpack.metadata import copy_xattrs, path_of, set_opaque
from crishim.image.unpack.steps import Steps
from crishim.image.unpack.walk import Walk

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
    """The directories under ``root``, an existing empty directory, above the layers ``lower``, topmost first.

    Close it to give the files back.
    """

    def __init__(self, root: Path, lower: Sequence[Path], steps: Steps) -> None:
        self._root = os.open(root, WALK)
        self._lower, self._steps = tuple(lower), steps
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
        with self.walk(path) as walk:
            parts = tuple(walk.parts)
            real = b"/".join(parts)
            if real and real not in self._open:
                self._make_way(walk)
                self._keep(real, os.dup(walk.directory))
        return self._open[real].fd if real else self._root, parts

    @contextmanager
    def walk(self, path: bytes) -> Iterator[Walk]:
        """A walk that has come to where ``path`` really leads; names that exist nowhere stand for themselves."""
        _check_depth(path, path.count(b"/"))
        known = self._known_prefix(path)
        directory, parts = (self._open[known].fd, known.split(b"/")) if known else (self._root, [])
        walk = Walk(self._root, directory, parts, self._lower, self._steps, has_opaque=self._has_opaque)
        try:
            _follow(walk, path, path[len(known) :])
            yield walk
        finally:
            walk.close()

    def make_opaque(self, parent: int, name: bytes) -> None:
        """Let the directory ``name`` of ``parent`` hide everything below."""
        if self._lower:
            set_opaque(parent, name)
            self._has_opaque = True

    def names_below_root(self) -> Iterator[bytes]:
        """Every name that the root of a lower layer has; some come twice."""
        for layer in self._lower:
            with os.scandir(os.fsencode(layer)) as entries:
                yield from (entry.name for entry in entries)

    def copy_root_metadata(self) -> None:
        """Let the root look like that of the layer below until an entry says otherwise."""
        with self.walk(b"") as walk:
            if (found := walk.below(b".")) is not None:
                _copy_metadata(self._root, b".", found)
                self._root_times = _times(found.status)

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

    def _make_way(self, walk: Walk) -> None:
        """Make in this layer what is missing of the way that ``walk`` has come."""
        for name in walk.back_to_this_layer():
            status = walk.here(name)
            if status is None:
                self._make_implicit(walk, name)
            elif is_whiteout(status):
                with _times_kept(walk.directory):
                    os.unlink(name, dir_fd=walk.directory)
                    os.mkdir(name, 0o755, dir_fd=walk.directory)
                self.make_opaque(walk.directory, name)
                walk.has_opaque = True
            else:
                raise LayerError(f"tar entry {show(b'/'.join((*walk.parts, name)))}: not a directory")
            walk.down(name)

    def _make_implicit(self, walk: Walk, name: bytes) -> None:
        """A directory the archive does not list: it looks like the one below, else like any other."""
        found = walk.below(name)
        with _times_kept(walk.directory):
            os.mkdir(name, 0o755, dir_fd=walk.directory)
        self.made += 1
        if found is not None and stat.S_ISDIR(found.status.st_mode):
            _copy_metadata(walk.directory, name, found)
            os.utime(name, ns=_times(found.status), dir_fd=walk.directory, follow_symlinks=False)

    def _known_prefix(self, path: bytes) -> bytes:
        """The longest leading part of ``path`` that is kept open, and so is free of links."""
        known = b""
        for kept in self._open:
            if len(kept) > len(known) and path.startswith(kept) and path[len(kept) : len(kept) + 1] in (b"", b"/"):
                known = kept
        return known

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


def _copy_metadata(parent: int, name: bytes, found: Found) -> None:
    """Give the directory ``name`` of ``parent`` owner, mode and attributes of ``found``."""
    os.chown(name, found.status.st_uid, found.status.st_gid, dir_fd=parent, follow_symlinks=False)
    os.chmod(name, stat.S_IMODE(found.status.st_mode), dir_fd=parent)
    copy_xattrs(path_of(found.directory, found.name), path_of(parent, name))


def _follow(walk: Walk, path: bytes, rest: bytes) -> None:
    """Go ``rest``, which is the last part of ``path``, over links if need be."""
    todo = deque(rest.split(b"/"))
    links = 0
    while todo:
        name = todo.popleft()
        if name in (b"", b"."):
            continue
        if name == b"..":
            walk.up()
            continue
        link = walk.down(name)
        if link is None:
            _check_depth(path, len(walk.parts))
            continue
        links += 1
        if links > _MAX_LINKS:
            raise LayerError(f"tar entry {show(path)}: too many levels of symbolic links")
        while link.startswith(b"/") and walk.parts:
            walk.up()
        todo.extendleft(reversed(link.split(b"/")))


def _check_depth(path: bytes, depth: int) -> None:
    if depth > _MAX_DEPTH:
        raise LayerError(f"tar entry {show(path)}: more than {_MAX_DEPTH} directories deep")
