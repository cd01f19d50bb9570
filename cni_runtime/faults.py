"""Fault points: named places where a test may end or halt this process, to prove that recovery works.

``CNI_RUNTIME_FAULT=NAME:kill`` ends the process with SIGKILL at the first time NAME is reached,
``NAME:raise`` raises FaultInjectedError there. Unset, a fault point costs one comparison.
"""

from __future__ import annotations

import os
import signal

_name, _, _action = os.environ.get("CNI_RUNTIME_FAULT", "").partition(":")


class FaultInjectedError(RuntimeError):
    """Raised at an armed fault point whose action is ``raise``."""


def reach(name: str) -> None:
    """Tell that the program has come to fault point ``name``."""
    if _name and name == _name:
        _strike(name)


def _strike(name: str) -> None:
    if _action == "raise":
        raise FaultInjectedError(name)
    signal.raise_signal(signal.SIGKILL)
