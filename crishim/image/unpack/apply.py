"""Makes the files of a layer, entry by entry, in the form overlayfs wants them."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from typing import TypeVar

from crishim.drivers.tree_removal import remove_tree_at
from crishim.image.errors import LayerError, LimitError, StorageError
from crishim.image.unpack import header as tar
from crishim.image.unpack.copyup import copy_file
from crishim.image.unpack.header import show
from crishim.image.unpack.lower import is_whiteout, lstat_at
from crishim.image.unpack.metadata import announce_whiteouts, apply_to_fd, apply_to_name, check_owner, times
from crishim.image.unpack.names import Meaning, Target, target
from crishim.image.unpack.reader import Entry, TarReader
from crishim.image.unpack.tree import Parts, Tree
from crishim.image.unpack.walk import Walk

_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_WRITE = 1 << 20
_FILESYSTEM_BLOCK = 4096
_OF_THE_DISK = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS})
_KINDS = {
    tar.SYMLINK: stat.S_IFLNK,
    tar.CHAR: stat.S_IFCHR,
    tar.BLOCK_DEVICE: stat.S_IFBLK,
    tar.FIFO: stat.S_IFIFO,
}

_T = TypeVar("_T")


class LayerWriter:
    """Applies entries to ``tree``. ``used`` and ``inodes`` count what the layer takes on disk.

    Hard links may copy ``may_copy`` bytes out of lower layers: they are not in the stream, whose length has a limit.
    """

    def __init__(self, tree: Tree, reader: TarReader, *, may_copy: int) -> None:
        self._tree, self._reader = tree, reader
        self._may_copy = may_copy
        self._used = 0
        self._made = 0
        self._is_root_opaque = False

    @property
    def inodes(self) -> int:
        """Files made so far, directories included."""
        return self._made + self._tree.made

    @property
    def used(self) -> int:
        """Bytes on disk so far, to the block."""
        return self._used + self._tree.made * _FILESYSTEM_BLOCK

    def apply(self, entry: Entry) -> None:
        """Make what ``entry`` says; raises LayerError or StorageError (full disk), which name it, and LimitError."""
        try:
            self._dispatch(entry, target(entry.header.name))
        except OSError as exc:
            message = f"tar entry {show(entry.header.name)}: {exc.strerror or exc}"
            raise (StorageError if exc.errno in _OF_THE_DISK else LayerError)(message) from exc
        except OverflowError as exc:
            raise LayerError(f"tar entry {show(entry.header.name)}: a number is out of range") from exc

    def finish(self) -> None:
        """What can only be done once everything is there."""
        self._tree.finish()

    def _dispatch(self, entry: Entry, where: Target) -> None:
        if where.meaning is Meaning.CONTENT:
            check_owner(entry)
            self._content(entry, where)
        elif where.meaning is Meaning.WHITEOUT:
            self._whiteout(where)
        elif where.meaning is Meaning.OPAQUE:
            self._opaque(where)

    def _content(self, entry: Entry, where: Target) -> None:
        kind = entry.header.type
        if kind == tar.DIRECTORY:
            self._directory(entry, where)
        elif not where.name:
            raise LayerError(f"tar entry {show(entry.header.name)}: only a directory can be the root")
        elif kind == tar.REGULAR:
            self._regular(entry, where)
        elif kind == tar.LINK:
            self._hard_link(entry, where)
        elif kind in _KINDS:
            self._special(entry, where, _KINDS[kind])
        else:
            raise LayerError(f"tar entry {show(entry.header.name)}: unknown type {show(kind)}")

    def _directory(self, entry: Entry, where: Target) -> None:
        parent, parts = self._tree.locate(where.parent)
        if where.name:
            parts = (*parts, where.name)
            self._make_directory(parent, where.name)
        apply_to_name(parent, where.name or b".", entry, stat.S_IFDIR)
        self._tree.set_times(parent, parts, times(entry))

    def _make_directory(self, parent: int, name: bytes) -> None:
        try:
            os.mkdir(name, 0o755, dir_fd=parent)
        except FileExistsError:
            status = lstat_at(parent, name)
            if status is None or stat.S_ISDIR(status.st_mode):
                return
            os.unlink(name, dir_fd=parent)
            os.mkdir(name, 0o755, dir_fd=parent)
            self._tree.make_opaque(parent, name)
        self._count(_FILESYSTEM_BLOCK)

    def _regular(self, entry: Entry, where: Target) -> None:
        fd = self._create(where, lambda parent: os.open(where.name, _CREATE, 0o600, dir_fd=parent))
        try:
            self._write(fd, entry)
            apply_to_fd(fd, entry)
        finally:
            os.close(fd)

    def _write(self, fd: int, entry: Entry) -> None:
        self._count(-(-entry.header.size // _FILESYSTEM_BLOCK) * _FILESYSTEM_BLOCK)
        if entry.sparse is None:
            self._pour(fd, entry.header.size)
            return
        os.ftruncate(fd, entry.sparse.size)
        for offset, length in entry.sparse.extents:
            os.lseek(fd, offset, os.SEEK_SET)
            self._pour(fd, length)

    def _pour(self, fd: int, count: int) -> None:
        while count:
            part = self._reader.data(min(count, _WRITE))
            count -= len(part)
            while part:
                part = part[os.write(fd, part) :]

    def _special(self, entry: Entry, where: Target, kind: int) -> None:
        header = entry.header
        if kind == stat.S_IFLNK:
            self._create(where, lambda parent: os.symlink(header.linkname, where.name, dir_fd=parent))
        else:
            device = os.makedev(header.major, header.minor) if kind in (stat.S_IFCHR, stat.S_IFBLK) else 0
            self._create(where, lambda parent: os.mknod(where.name, kind | 0o600, device, dir_fd=parent))
        self._count(0)
        apply_to_name(self._tree.locate(where.parent)[0], where.name, entry, kind)

    def _hard_link(self, entry: Entry, where: Target) -> None:
        source = target(entry.header.linkname)
        if not source.name or source.meaning is not Meaning.CONTENT:
            raise LayerError(f"tar entry {show(entry.header.name)}: hard link to {show(entry.header.linkname)}")
        with self._tree.walk(source.parent) as walk:
            with self._tree.walk(where.parent) as own:
                if (own.parts, where.name) == (walk.parts, source.name):
                    raise LayerError(f"tar entry {show(entry.header.name)}: hard link to itself")
            self._bring_up(entry, walk, source.name)
            origin = os.dup(self._tree.locate(b"/".join(walk.parts))[0])
        try:
            self._create(where, lambda parent: _link(origin, source.name, parent, where.name))
        finally:
            os.close(origin)

    def _bring_up(self, entry: Entry, walk: Walk, name: bytes) -> None:
        """A link needs its target in this layer: copy it from the layer below if it is only there."""
        status = walk.here(name)
        if status is not None and not is_whiteout(status):
            return
        found = None if status is not None else walk.below(name)
        if found is None or stat.S_ISDIR(found.status.st_mode):
            raise LayerError(f"tar entry {show(entry.header.name)}: no file {show(entry.header.linkname)} to link to")
        size = found.status.st_blocks * 512
        self._may_copy -= size
        if self._may_copy < 0:
            raise LimitError("layer: with the files of lower layers that it links to, it takes more than allowed")
        parent, _ = self._tree.locate(b"/".join(walk.parts))
        copy_file(found, parent)
        self._count(size)

    def _whiteout(self, where: Target) -> None:
        with self._tree.walk(where.parent) as walk:
            status = walk.here(where.name)
            if status is not None:
                # A whiteout is about the layers below: what this layer itself put there stays, and hides the rest.
                if stat.S_ISDIR(status.st_mode):
                    self._tree.make_opaque(walk.directory, where.name)
                return
            if walk.below(where.name) is None:
                return
        parent, _ = self._tree.locate(where.parent)
        os.mknod(where.name, stat.S_IFCHR, 0, dir_fd=parent)
        announce_whiteouts(parent)
        self._count(0)

    def _opaque(self, where: Target) -> None:
        directory, parts = self._tree.locate(where.parent)
        if parts:
            self._tree.make_opaque(directory, b".")
        elif not self._is_root_opaque:
            self._is_root_opaque = True
            for name in self._tree.names_below_root():  # overlayfs joins roots whatever their attributes are
                self._whiteout(Target(b"", name, Meaning.WHITEOUT))

    def _create(self, where: Target, make: Callable[[int], _T]) -> _T:
        """Run ``make`` on the directory; when the name is taken by an earlier entry, that one goes first."""
        parent, parts = self._tree.locate(where.parent)
        try:
            return make(parent)
        except FileExistsError:
            self._remove(parent, (*parts, where.name))
            return make(self._tree.locate(where.parent)[0])

    def _remove(self, parent: int, parts: Parts) -> None:
        status = lstat_at(parent, parts[-1])
        if status is not None and stat.S_ISDIR(status.st_mode):
            remove_tree_at(os.fsdecode(parts[-1]), parent)
            self._tree.forget()
        else:
            os.unlink(parts[-1], dir_fd=parent)

    def _count(self, size: int) -> None:
        self._made += 1
        self._used += size


def _link(origin: int, name: bytes, directory: int, new_name: bytes) -> None:
    os.link(name, new_name, src_dir_fd=origin, dst_dir_fd=directory, follow_symlinks=False)
