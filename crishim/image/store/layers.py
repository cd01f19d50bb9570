"""Layer directories: unpacked aside, then renamed to their number. Removed the other way round: renamed, emptied."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from pathlib import Path

from crishim.drivers.tree_removal import remove_trees


class LayerFiles:
    """The layers under ``root``. Numbers, not digests, name them: many fit into one overlay mount's options."""

    def __init__(self, root: Path) -> None:
        self._layers, self._staging, self._trash = root / "layers", root / "staging", root / "trash"
        self._last = 0

    def prepare(self) -> frozenset[int]:
        """Make the directories, empty staging and trash; the numbers that are there. Blocks.

        Raises SystemCallError when the kernel refuses to empty them.
        """
        for directory in (self._layers, self._staging, self._trash):
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        remove_trees(*map(str, (*self._staging.iterdir(), *self._trash.iterdir())))
        numbers = frozenset(int(path.name) for path in self._layers.iterdir() if path.name.isdigit())
        self._last = max(numbers, default=0)
        return numbers

    def path(self, number: int) -> Path:
        """The directory that overlayfs takes as a lower layer."""
        return self._layers / str(number)

    def next_number(self) -> int:
        """A number that no layer has had since the start."""
        self._last += 1
        return self._last

    def stage(self) -> Path:
        """A new empty directory to unpack into; nobody but root can look into its parent."""
        path = self._staging / secrets.token_hex(8)
        path.mkdir(mode=0o755)
        return path

    def publish(self, staged: Path, number: int) -> None:
        """Let the staged directory be layer ``number``."""
        staged.rename(self.path(number))

    def withdraw(self, number: int, staged: Path) -> None:
        """Undo ``publish``."""
        self.path(number).rename(staged)

    def discard(self, paths: Iterable[Path]) -> list[Path]:
        """Take directories out of sight at once; ``empty`` what is returned later."""
        discarded = []
        for path in paths:
            aside = self._trash / secrets.token_hex(8)
            try:
                path.rename(aside)
            except FileNotFoundError:
                continue
            discarded.append(aside)
        return discarded

    def empty(self, discarded: Iterable[Path]) -> None:
        """Remove discarded directories for good. Blocks, for long. Raises SystemCallError when the kernel refuses."""
        remove_trees(*map(str, discarded))
