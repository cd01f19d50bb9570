"""Where the OCI driver keeps what it has to find again. A reboot may forget all of it."""

from __future__ import annotations

from pathlib import Path


class Places:
    """The directories below ``base``.

    ``notes`` has one note per container: see ``notes``. ``exits``: one file per container that has ended, written by
    its monitor. ``execs``: one directory per command that runs in a container: see ``exec``. ``sockets``: those that
    monitors and commands get their terminals through; they are gone after a moment. ``states``: what the OCI runtimes
    keep, one directory for each of them.
    """

    def __init__(self, base: Path) -> None:
        self.base = base
        self.notes = base / "notes"
        self.exits = base / "exits"
        self.execs = base / "execs"
        self.sockets = base / "s"
        self.states = base / "runtimes"

    def state(self, program: Path) -> Path:
        """What one OCI runtime keeps. No other user of it on this node sees our containers, and we see no others."""
        return self.states / program.name

    @property
    def all(self) -> tuple[Path, ...]:
        """Every directory that has to be there."""
        return (self.notes, self.exits, self.execs, self.sockets, self.states)
