"""The record of one network attachment: written before ADD, removed after DEL.

 intent (written)         ADD ended              DEL ended
────────────────▶ ADDING ──────────▶ ATTACHED ─────────────▶ row gone
                     │                   │ DEL failed            ▲
                     └───────────────────┴─────────▶ DELETING ───┘ DEL ended
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from msgspec import Struct


class Phase(StrEnum):
    """How far an attachment has come."""

    ADDING = "adding"
    ATTACHED = "attached"
    DELETING = "deleting"


class PluginStep(Struct, frozen=True):
    """One plugin of the chain and the seconds its ADD took."""

    plugin: str
    seconds: float


class AttachmentRecord(Struct, frozen=True, kw_only=True):
    """One interface of one sandbox on one network.

    ``conflist`` is the network list that ADD used, as JSON text: DEL uses the same, whatever is in the
    configuration directory by then. ``progress`` counts the plugins that a DEL has to go through: those whose ADD may
    have begun. ``result`` is the chain's final result as a CNI object, ``error`` why the last DEL failed.
    """

    sandbox_id: str
    network: str
    ifname: str
    conflist: str
    source: str
    netns: str
    args: tuple[tuple[str, str], ...] = ()
    capability_args: Mapping[str, Any] = {}
    phase: Phase = Phase.ADDING
    progress: int = 0
    steps: tuple[PluginStep, ...] = ()
    result: Mapping[str, Any] | None = None
    error: str = ""
