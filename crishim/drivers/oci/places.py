"""Where the OCI driver keeps what it has to find again. A reboot may forget all of it."""

from __future__ import annotations

from pathlib import Path

from msgspec import Struct


class Places(Struct, frozen=True):
    """The directories below ``base``."""

    base: Path

    @property
    def notes(self) -> Path:
        """One note per container: see ``notes``."""
        return self.base / "notes"

    @property
    def exits(self) -> Path:
        """One file per container that has ended, written by its monitor."""
        return self.base / "exits"

    @property
    def execs(self) -> Path:
        """One directory per command that runs in a container: see ``exec``."""
        return self.base / "execs"

    @property
    def sockets(self) -> Path:
        """Sockets that monitors and commands get their terminals through; they are gone after a moment."""
        return self.base / "s"

    @property
    def states(self) -> Path:
        """What the OCI runtimes keep, one directory for each of them."""
        return self.base / "runtimes"

    def state(self, program: Path) -> Path:
        """What one OCI runtime keeps. No other user of it on this node sees our containers, and we see no others."""
        return self.states / program.name

    @property
    def all(self) -> tuple[Path, ...]:
        """Every directory that has to be there."""
        return (self.notes, self.exits, self.execs, self.sockets, self.states)
