"""Which signal asks a container to stop."""

from __future__ import annotations

import re
import signal
from collections.abc import Mapping
from typing import Any

from crishim.container.spec.image import execution_config
from crishim.core.errors import refusal
from crishim.model.container import ContainerConfig

DEFAULT_STOP_SIGNAL = "SIGTERM"

_NUMBER = re.compile(r"[0-9]{1,2}")

_PLAIN = (
    "ABRT ALRM BUS CHLD CLD CONT FPE HUP ILL INT IO IOT KILL PIPE POLL PROF PWR QUIT SEGV STKFLT STOP SYS TERM TRAP "
    "TSTP TTIN TTOU URG USR1 USR2 VTALRM WINCH XCPU XFSZ"
)

SIGNALS = (
    "",
    *(f"SIG{name}" for name in _PLAIN.split()),
    "SIGRTMIN",
    *(f"SIGRTMIN+{offset}" for offset in range(1, 16)),
    *(f"SIGRTMAX-{offset}" for offset in range(14, 0, -1)),
    "SIGRTMAX",
)
"""The names of CRI's signals in the order of their numbers, which are CRI's own; 0 leaves the choice to the image."""


def stop_signal(config: ContainerConfig, image_config: Mapping[str, Any]) -> str:
    """The name of the request's signal, else of the image's, else SIGTERM.

    Raises InvalidArgumentError for one that does not exist, which would be found out only when it is needed.
    """
    if not 0 <= config.stop_signal < len(SIGNALS):
        raise refusal("config.stop_signal", "a signal", config.stop_signal)
    asked = execution_config(image_config).stop_signal
    return SIGNALS[config.stop_signal] or (_parse(asked) if asked else DEFAULT_STOP_SIGNAL)


def _parse(text: str) -> str:
    """The name of a signal written as an image may write it: ``SIGTERM``, ``term``, ``15`` or ``SIGRTMIN+3``."""
    name = f"SIG{text.upper().removeprefix('SIG')}"
    if name in SIGNALS:
        return name
    if _NUMBER.fullmatch(text) and 1 <= int(text) <= signal.SIGRTMAX:
        return _name_of(int(text))
    raise refusal("image: config.StopSignal", "a signal", text)


def _name_of(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        pass
    offset = number - signal.SIGRTMIN
    name = f"SIGRTMIN+{offset}" if offset < 16 else f"SIGRTMAX-{signal.SIGRTMAX - number}"
    if name not in SIGNALS:  # the two below SIGRTMIN belong to the C library
        raise refusal("image: config.StopSignal", "a signal", number)
    return name
