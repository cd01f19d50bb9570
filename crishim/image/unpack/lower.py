"""What the layers below show at a path, as overlayfs would merge them."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from crishim.drivers.syscalls import step
from crishim.image.unpack.metadata import OPAQUE_XATTR, path_of

WALK = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC

Parts = Sequence[bytes]


def is_whiteout(status: os.stat_result) -> bool:
    """Whether this is overlayfs' mark for a removed name."""
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == 0


def lstat_at(directory: int, name: bytes) -> os.stat_result | None:
    """The status of ``name``, None when there is no such name."""
    try:
        return os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return None


def is_opaque(directory: int, name: bytes) -> bool:
    """Whether the directory ``name`` hides what is below it in lower layers."""
    try:
        return os.getxattr(path_of(directory, name), OPAQUE_XATTR, follow_symlinks=False) == b"y"
    except OSError as exc:
        if exc.errno in (errno.ENODATA, errno.ENOTSUP, errno.ENOENT):
            return False
        raise


@dataclass(frozen=True)
class Found:
    """A file that one of the lower layers shows."""

    layer: Path
    parts: tuple[bytes, ...]
    status: os.stat_result


class LowerLayers:
    """The lower layers of the one being made, topmost first; never written to."""

    def __init__(self, layers: Sequence[Path]) -> None:
        self._layers = tuple(layers)

    def lookup(self, parts: Parts) -> Found | None:
        """What is visible at ``parts``, which is taken literally: a link on the way hides what it points to."""
        for layer in self._layers:
            status, hides = self._look_in(layer, parts)
            if status is not None:
                return Found(layer, tuple(parts), status)
            if hides:
                return None
        return None

    def _look_in(self, layer: Path, parts: Parts) -> tuple[os.stat_result | None, bool]:
        """The status in ``layer``, and whether ``layer`` hides the same path of the layers below."""
        hides = False
        if not parts:
            return layer.lstat(), True
        directory = os.open(layer, WALK)
        try:
            for index, name in enumerate(parts):
                status = lstat_at(directory, name)
                if status is None:
                    return None, hides
                if index == len(parts) - 1:
                    return (None, True) if is_whiteout(status) else (status, True)
                if not stat.S_ISDIR(status.st_mode):
                    return None, True
                hides = hides or is_opaque(directory, name)
                directory = step(directory, name, WALK)
        finally:
            os.close(directory)
        return None, hides


@contextmanager
def opened_parent(found: Found) -> Iterator[tuple[int, bytes]]:
    """The directory that holds ``found`` and the name in it."""
    directory = os.open(found.layer, WALK)
    try:
        for name in found.parts[:-1]:
            directory = step(directory, name, WALK)
        yield directory, found.parts[-1] if found.parts else b"."
    finally:
        os.close(directory)
