"""One plugin call as a value, and the port through which it is made.

Source: CNI specification 1.1.0, section 2 "Execution Protocol".
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

import msgspec


class Verb(StrEnum):
    """The operations a plugin can be asked for (``CNI_COMMAND``)."""

    ADD = "ADD"
    DEL = "DEL"
    CHECK = "CHECK"
    GC = "GC"
    STATUS = "STATUS"
    VERSION = "VERSION"


class PluginCall(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a plugin is told.

    ``config`` is the complete object for standard input: the plugin's own keys with ``name``,
    ``cniVersion``, ``runtimeConfig``, ``prevResult`` and, for GC, ``cni.dev/valid-attachments`` already in it.
    ``netns`` is a path, or None where the verb has none (GC, STATUS) or the namespace is gone (DEL).
    ``args`` become ``CNI_ARGS`` in order; ``path`` becomes ``CNI_PATH``.
    """

    verb: Verb
    type: str
    config: Mapping[str, Any]
    container_id: str = ""
    netns: str | None = None
    ifname: str = ""
    args: tuple[tuple[str, str], ...] = ()
    path: tuple[Path, ...] = ()


class Invoker(Protocol):
    """Runs plugin calls: an executable, a built-in plugin, or a fake."""

    async def invoke(self, call: PluginCall) -> Mapping[str, Any] | None:
        """Perform ``call``.

        Returns the decoded JSON object (a result for ADD, the version reply for VERSION), or None for the
        verbs that have no answer. Raises PluginError when the plugin fails, cannot be run or is not there.
        """
        ...
