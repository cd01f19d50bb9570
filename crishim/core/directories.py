"""What is in directories."""

from __future__ import annotations

from pathlib import Path


def entries(*parents: Path) -> set[str]:
    """The names in all of ``parents``, of which some may not be there."""
    return {entry.name for parent in parents if parent.is_dir() for entry in parent.iterdir()}
