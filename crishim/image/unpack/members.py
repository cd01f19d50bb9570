"""The parts that a compressed blob may have: members of gzip, frames of zstd."""

from __future__ import annotations

from crishim.image.errors import LimitError


def count_down(members: int) -> int:
    """How many members may follow another one; raises LimitError when that one was too many."""
    if not members:
        raise LimitError("layer: compressed in more pieces than allowed")
    return members - 1
