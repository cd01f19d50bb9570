"""Fault points: named places where a test may end or halt this process, to prove that recovery works.

``CNI_RUNTIME_FAULT=NAME:kill`` ends the process with SIGKILL at the first time NAME is reached,
``NAME:raise`` raises FaultInjectedError there; ``NAME:kill:3`` does it the third time. With
``CNI_RUNTIME_FAULT_LOG=FILE`` every point that is reached is a line of FILE, so that a test need not know their names.
Unset, a fault point costs one look at an empty list.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path


class FaultInjectedError(RuntimeError):
    """Raised at an armed fault point whose action is ``raise``."""


class _Armed:
    """What was asked for."""

    def __init__(self, fault: str, log: str) -> None:
        self._name, _, action = fault.partition(":")
        self._action, _, count = action.partition(":")
        self._left = int(count or 1)
        self._log = log

    def reach(self, name: str) -> None:
        if self._log:
            with Path(self._log).open("a") as log:
                log.write(f"{name}\n")
        if name == self._name:
            self._left -= 1
            if self._left == 0:
                self._strike()

    def _strike(self) -> None:
        if self._action == "raise":
            raise FaultInjectedError(self._name)
        signal.raise_signal(signal.SIGKILL)


_armed: list[_Armed] = []


def arm(fault: str = "", log: str = "") -> None:
    """Ask for a fault, a log or both, in the form that the environment has; empty: nothing."""
    _armed[:] = [_Armed(fault, log)] if fault or log else []


def reach(name: str) -> None:
    """Tell that the program has come to fault point ``name``."""
    for armed in _armed:
        armed.reach(name)


arm(os.environ.get("CNI_RUNTIME_FAULT", ""), os.environ.get("CNI_RUNTIME_FAULT_LOG", ""))
