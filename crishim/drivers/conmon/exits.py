"""Exit files: how and when containers ended, also while nobody was there to see it."""

from __future__ import annotations

from pathlib import Path

from crishim.model.process import Exit


def read_exit(path: Path) -> Exit | None:
    """The end that conmon noted in ``path``; None when it noted none. Its time is that of the file."""
    try:
        text = path.read_text(encoding="ascii", errors="replace").strip()
        finished_at = path.stat().st_mtime_ns
    except FileNotFoundError:
        return None
    return Exit(int(text), finished_at) if text.isdigit() else None
