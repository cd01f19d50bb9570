"""Paths inside a container."""

from __future__ import annotations

import os


def normal_path(path: str) -> str:
    """``path`` made absolute, without ``.``, ``..`` and doubled slashes."""
    return os.path.normpath(f"/{path.lstrip('/')}")


def depth(path: str) -> int:
    """How far below the root a normal path is: what is above must be mounted first."""
    return 0 if path == "/" else path.count("/")
