"""Which directories decide what a configuration directory holds, so that these and no others are watched.

A path means something else as soon as any directory entry on the way to it changes: a component that is removed,
made again or renamed, a symbolic link that is pointed elsewhere. So the way is walked as the kernel would.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

_MAX_LINKS = 40  # as many as the kernel follows
_ROOT = Path("/")

# Directory → the names in it that matter; None: all of them. Directories are real paths.
Concerns = Mapping[Path, frozenset[str] | None]


def concerns(directory: Path) -> Concerns:
    """Every directory entry that the networks in ``directory`` depend on; blocks for a few system calls.

    That is the way to the directory as far as it exists, its content, the content of its sub-directories (plugins
    of a list may be there), and the ways that symbolic links among these lead.
    """
    found: dict[Path, set[str] | None] = {}
    real = _walk(directory.absolute(), found)
    if real is not None and real.is_dir():
        found[real] = None
        for entry in _entries(real):
            target = _walk(entry, found) if entry.is_symlink() else entry
            if target is not None and target.is_dir():
                found[target] = None
    return {path: None if names is None else frozenset(names) for path, names in found.items()}


def _walk(path: Path, found: dict[Path, set[str] | None]) -> Path | None:
    """The real path of ``path``, None where it does not lead to anything; notes each look-up in ``found``."""
    pending, current, links = list(reversed(path.parts[1:])), _ROOT, 0
    while pending:
        name = pending.pop()
        if name == "..":
            current = current.parent
            continue
        names = found.setdefault(current, set())
        if names is not None:
            names.add(name)
        entry = current / name
        target = _link_target(entry)
        if target is not None:
            links += 1
            current = _ROOT if target.is_absolute() else current
            pending.extend(reversed([part for part in target.parts if part != "/"]))
        else:
            current = entry
        if links > _MAX_LINKS or (pending and not current.is_dir()):
            return None
    return current if current.exists() else None


def _link_target(entry: Path) -> Path | None:
    try:
        return entry.readlink()
    except OSError:
        return None


def _entries(directory: Path) -> list[Path]:
    try:
        return list(directory.iterdir())
    except OSError:
        return []
