"""The kernel's files about groups, read whole. A group can go at any moment, and no node has every file."""

from __future__ import annotations

import os
from pathlib import Path

_CHUNK = 1 << 14


def read_text(path: Path) -> str:
    """The content of a file; empty when it is not there."""
    try:
        return _read(path).decode("ascii")
    except OSError:
        return ""


def read_number(path: Path) -> int | None:
    """The number that is all of a file; None when it is not there, or ``max``."""
    text = read_text(path).strip()
    return int(text) if text.isdigit() else None


def read_pairs(path: Path) -> dict[str, int]:
    """The lines ``NAME NUMBER`` of a file; empty when it is not there."""
    pairs = (line.split() for line in read_text(path).splitlines())
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdigit()}


def _read(path: Path) -> bytes:
    """The whole of a file of the kernel's, in a third of the time that ``Path.read_bytes`` takes."""
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        content = b""
        while chunk := os.read(file, _CHUNK):
            content += chunk
        return content
    finally:
        os.close(file)
