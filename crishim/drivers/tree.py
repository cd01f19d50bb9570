"""What a directory tree takes on its disk."""

from __future__ import annotations

import os
import stat
from pathlib import Path


def tree_usage(root: Path) -> tuple[int, int]:
    """Bytes on disk and inodes of the tree at ``root``, each file once; what vanishes meanwhile is left out. Blocks."""
    used, seen, device, todo = 0, set[int](), -1, [root]
    while todo:
        path = todo.pop()
        try:
            status = path.lstat()
            if device == -1:
                device = status.st_dev
            if status.st_dev != device or status.st_ino in seen:
                continue
            seen.add(status.st_ino)
            used += status.st_blocks * 512
            if stat.S_ISDIR(status.st_mode):
                todo.extend(path / name for name in os.listdir(path))  # noqa: PTH208 - names are enough
        except OSError:
            continue
    return used, len(seen)
