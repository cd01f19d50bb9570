"""Which plugin types run built in, and which as executables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any

from cni_runtime.cache import DEFAULT_DIR
from cni_runtime.call import Invoker, PluginCall
from cni_runtime.invoke.builtin import BuiltinInvoker
from cni_runtime.net.nft import STATE
from cni_runtime.plugins.base import Plugin


class Mode(StrEnum):
    """AUTO: built in where there is such a plugin, an executable otherwise."""

    AUTO = "auto"
    BUILTIN = "builtin"
    EXEC = "exec"


class ChoosingInvoker:
    """An Invoker that passes each call on to one of two, by the plugin's type; delegated calls come here too."""

    def __init__(
        self,
        executable: Invoker,
        *,
        mode: Mode = Mode.AUTO,
        types: Mapping[str, Mode] | None = None,
        plugins: Mapping[str, Plugin] | None = None,
        state: Path = STATE,
        data: Path = DEFAULT_DIR,
    ) -> None:
        """``types`` holds exceptions from ``mode`` by plugin type; for the rest see BuiltinInvoker."""
        self._executable = executable
        self._builtin = BuiltinInvoker(delegates=self, plugins=plugins, state=state, data=data)
        self._mode = mode
        self._types = dict(types or {})

    def is_builtin(self, plugin: str) -> bool:
        """Whether calls of this plugin type run built in."""
        mode = self._types.get(plugin, self._mode)
        return mode is Mode.BUILTIN or (mode is Mode.AUTO and plugin in self._builtin.types)

    def prepare(self, types: Iterable[str]) -> None:
        """See ``BuiltinInvoker.prepare``."""
        self._builtin.prepare(filter(self.is_builtin, types))

    async def invoke(self, call: PluginCall) -> Mapping[str, Any] | None:
        """See Invoker."""
        chosen: Invoker = self._builtin if self.is_builtin(call.type) else self._executable
        return await chosen.invoke(call)

    async def aclose(self) -> None:
        """See ``BuiltinInvoker.aclose``."""
        await self._builtin.aclose()
