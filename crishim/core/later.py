"""Modules that an idle server does without: they take as much memory as all of its own code."""

from __future__ import annotations

from importlib import import_module
from typing import Any


class Later:
    """Stands for the module ``name``, which is imported when something of it is first used.

    That takes tenths of a second, so the first use should be ``load``, in a thread.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        return getattr(import_module(self._name), attribute)


def load(name: str) -> None:
    """Import a module, so that its use takes no time. Blocks."""
    import_module(name)
