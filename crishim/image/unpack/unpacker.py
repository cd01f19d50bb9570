"""Unpacks one layer: the function everything else in this package is for."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from crishim.image.digest import Digest
from crishim.image.errors import LayerError, LimitError
from crishim.image.settings import Limits
from crishim.image.unpack.apply import LayerWriter
from crishim.image.unpack.reader import TarReader
from crishim.image.unpack.source import LayerSource
from crishim.image.unpack.steps import Steps
from crishim.image.unpack.tree import Tree

_STEPS_PER_ENTRY = 10  # of an honest layer: most are in a directory that is open already, which takes none


@dataclass(frozen=True)
class Unpacked:
    """What came of a layer: the digest of its uncompressed stream, that stream's length, and what it takes on disk."""

    diff_id: Digest
    stream_bytes: int
    used_bytes: int
    inodes: int


def unpack_layer(
    blob: Path,
    root: Path,
    lower: Sequence[Path],
    limits: Limits,
    cancel: threading.Event,
    *,
    allowed: int | None = None,
) -> Unpacked:
    """Unpack the layer ``blob`` into the existing empty directory ``root``, above the layers ``lower`` (topmost first).

    Blocks; ``cancel`` set by another thread ends it. ``allowed`` is how many uncompressed bytes the layer may have,
    by default what ``limits`` say. Raises ContentError, LayerError or LimitError; what is in ``root`` then is the
    caller's to remove. The diff id is for the caller to compare. The kernel may still hold the data in its cache.
    """
    limit = limits.max_unpacked_bytes if allowed is None else allowed
    steps = Steps(limits.max_entries * _STEPS_PER_ENTRY)
    with LayerSource(blob, limit, cancel) as source, Tree(root, lower, steps) as tree:
        tree.copy_root_metadata()
        reader = TarReader(source, limits.max_entries)
        writer = LayerWriter(tree, reader, may_copy=limit)
        for entry in reader:
            if cancel.is_set():
                raise LayerError("layer: unpacking was cancelled")
            writer.apply(entry)
            if writer.inodes > limits.max_entries:  # an entry can stand for the thousand directories it lies in
                raise LimitError(f"layer: makes more than the allowed {limits.max_entries} files")
        writer.finish()
        return Unpacked(source.digest(), source.produced, writer.used, writer.inodes)
