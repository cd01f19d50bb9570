"""Directories as containers and layers make them."""

from __future__ import annotations

import os
from pathlib import Path


def nest(top: Path, levels: int) -> None:
    """Make directories below ``top``, one in the other: deeper than a path can be long."""
    parent = os.open(top, os.O_RDONLY)
    for _ in range(levels):
        os.mkdir("d", dir_fd=parent)
        below = os.open("d", os.O_RDONLY, dir_fd=parent)
        os.close(parent)
        parent = below
    os.close(parent)


def crowd(top: Path) -> None:
    """Make 2000 files and as many directories in ``top``, with long names: half a megabyte of them."""
    for number in range(2000):
        (top / f"{number:0100}").touch()
        (top / f"{number:0100}-directory").mkdir()
