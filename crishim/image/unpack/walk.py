"""One walk down a path, in the layer being made and in those below it at once."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from pathlib import Path

from crishim.drivers.syscalls import step
from crishim.image.unpack.lower import WALK, Found, LowerWalk, is_opaque, lstat_at
from crishim.image.unpack.steps import Steps


class Walk:
    """Begins at ``directory``, which is ``parts`` below ``root``, and keeps open what it comes to. Close it.

    ``parts`` is where it is now; ``directory`` is the deepest directory on the way there that this layer has, of which
    some may be opaque if it ``has_opaque`` ones.
    """

    def __init__(
        self, root: int, directory: int, parts: list[bytes], lower: Sequence[Path], steps: Steps, *, has_opaque: bool
    ) -> None:
        self.parts = parts
        self.has_opaque = has_opaque
        self.directory = os.dup(directory)
        self._root, self._layers, self._steps = root, lower, steps
        self._depth = len(parts)
        self._lower: LowerWalk | None = None

    def close(self) -> None:
        """Close what is open."""
        self._leave_lower()
        os.close(self.directory)

    def here(self, name: bytes) -> os.stat_result | None:
        """The status of ``name`` in this layer alone."""
        return lstat_at(self.directory, name) if self._depth == len(self.parts) else None

    def below(self, name: bytes) -> Found | None:
        """What the lower layers show as ``name`` through this layer; it holds until the next call of a method."""
        if self._lower is None:
            self._lower = LowerWalk(() if self._is_hidden() else self._layers, self._steps)
        return self._lower.look(self.parts, name)

    def down(self, name: bytes) -> bytes | None:
        """Go on to ``name``, which need not exist anywhere; when it is a link stay, and return what it says."""
        status = self.here(name)
        if status is None:
            found = self.below(name)
            if found is not None and stat.S_ISLNK(found.status.st_mode):
                return os.readlink(found.name, dir_fd=found.directory)
        elif stat.S_ISLNK(status.st_mode):
            return os.readlink(name, dir_fd=self.directory)
        elif stat.S_ISDIR(status.st_mode):
            self._steps.take()
            self.directory = step(self.directory, name, WALK)
            self._depth += 1
        self.parts.append(name)
        return None

    def up(self) -> None:
        """Go back by one directory; from the root, nowhere."""
        if self.parts:
            self._leave_lower()
            if self._depth == len(self.parts):
                self._steps.take()
                self.directory = step(self.directory, b"..", WALK)
                self._depth -= 1
            self.parts.pop()

    def back_to_this_layer(self) -> list[bytes]:
        """Go back to ``directory``; what the rest of the way was."""
        self._leave_lower()
        rest = self.parts[self._depth :]
        del self.parts[self._depth :]
        return rest

    def _leave_lower(self) -> None:
        if self._lower is not None:
            self._lower.close()
            self._lower = None

    def _is_hidden(self) -> bool:
        """Whether a file or whiteout of this layer is on the way, or a directory that is opaque."""
        if self._depth < len(self.parts) and lstat_at(self.directory, self.parts[self._depth]) is not None:
            return True
        if not self.has_opaque:
            return False
        directory = os.dup(self._root)
        try:
            for name in self.parts[: self._depth]:
                if is_opaque(directory, name):
                    return True
                self._steps.take()
                directory = step(directory, name, WALK)
        finally:
            os.close(directory)
        return False
