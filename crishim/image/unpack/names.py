"""What the name of an entry means: where it goes, and whether it is a whiteout. Pure.

Source: OCI image specification, "Image Layer Filesystem Changeset", section "Whiteouts".
"""

from __future__ import annotations

import posixpath
from dataclasses import dataclass
from enum import Enum, auto

from crishim.image.errors import LayerError
from crishim.image.unpack.header import show

WHITEOUT_PREFIX = b".wh."
OPAQUE_MARK = b".wh..wh..opq"
_AUFS_PREFIX = b".wh..wh."


class Meaning(Enum):
    """What an entry is there for."""

    CONTENT = auto()
    WHITEOUT = auto()
    OPAQUE = auto()
    IGNORED = auto()


@dataclass(frozen=True, slots=True)
class Target:
    """``name`` in directory ``parent``, both relative to the layer; an empty name is the layer's root."""

    parent: bytes
    name: bytes
    meaning: Meaning = Meaning.CONTENT


def clean(name: bytes) -> bytes:
    """``name`` relative to the root of the layer, without ``.`` and ``..``; raises LayerError if it leads out of it."""
    cleaned = posixpath.normpath(name.lstrip(b"/") or b".")
    if cleaned == b".." or cleaned.startswith(b"../"):
        raise LayerError(f"tar entry {show(name)}: leads out of the layer")
    return b"" if cleaned == b"." else cleaned


def target(raw: bytes) -> Target:
    """Where the entry called ``raw`` goes and what it means."""
    parent, _, name = clean(raw).rpartition(b"/")
    if not name.startswith(WHITEOUT_PREFIX):
        return Target(parent, name)
    if name == OPAQUE_MARK:
        return Target(parent, name, Meaning.OPAQUE)
    if name.startswith(_AUFS_PREFIX):
        return Target(parent, name, Meaning.IGNORED)
    hidden = name[len(WHITEOUT_PREFIX) :]
    if hidden in (b"", b".", b".."):
        raise LayerError(f"tar entry {show(raw)}: a whiteout of nothing")
    return Target(parent, hidden, Meaning.WHITEOUT)
