"""What the layers below show at a path, as overlayfs would merge them. They are never written to."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from crishim.drivers.syscalls import step
from crishim.image.unpack.metadata import OPAQUE_XATTR, path_of
from crishim.image.unpack.steps import Steps

WALK = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


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
    """A file that one of the lower layers shows: ``name`` in the open ``directory``."""

    directory: int
    name: bytes
    status: os.stat_result


@dataclass(slots=True, eq=False)
class _Layer:
    """How far one layer was walked: ``depth`` directories, and whether one of them hides the layers below."""

    directory: int
    depth: int = 0
    hides: bool = False


class LowerWalk:
    """One walk down the lower layers, topmost first, side by side. Each is walked once, and only if asked.

    Close it to give the files back.
    """

    def __init__(self, layers: Sequence[Path], steps: Steps) -> None:
        self._unasked = list(reversed(layers))
        self._layers: list[_Layer] = []
        self._steps = steps

    def look(self, way: Sequence[bytes], name: bytes) -> Found | None:
        """What is visible as ``name`` in the directory ``way``, which is the one of the last call or lies below it.

        Both are taken literally: a link on the way hides what it points to. The answer holds until the next call.
        """
        index = 0
        while (layer := self._layer(index)) is not None:
            is_there = self._follow(layer, way)
            status = lstat_at(layer.directory, name) if is_there else None
            if status is not None:
                return None if is_whiteout(status) else Found(layer.directory, name, status)
            if layer.hides:
                return None
            if is_there:
                index += 1
            else:
                os.close(self._layers.pop(index).directory)
        return None

    def close(self) -> None:
        """Close all directories."""
        while self._layers:
            os.close(self._layers.pop().directory)

    def _layer(self, index: int) -> _Layer | None:
        if index == len(self._layers):
            if not self._unasked:
                return None
            self._steps.take()
            self._layers.append(_Layer(os.open(self._unasked.pop(), WALK)))
        return self._layers[index]

    def _follow(self, layer: _Layer, way: Sequence[bytes]) -> bool:
        """Go on to ``way`` in ``layer``; whether it is there as a directory."""
        try:
            while layer.depth < len(way):
                self._steps.take()
                name = way[layer.depth]
                layer.hides = layer.hides or is_opaque(layer.directory, name)
                layer.directory = step(layer.directory, name, WALK)
                layer.depth += 1
        except FileNotFoundError:
            return False
        except NotADirectoryError:
            layer.hides = True
            return False
        return True
