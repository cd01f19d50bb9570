"""Plugins that are part of this program: no process, the same contract."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from cni_runtime.cache import DEFAULT_DIR
from cni_runtime.call import Invoker, PluginCall, Verb
from cni_runtime.errors import CniError, ErrorCode, PluginError
from cni_runtime.net.libnftables import open_nft
from cni_runtime.net.nft import STATE
from cni_runtime.net.quiesce import Reaper
from cni_runtime.plugins.base import Context, Plugin
from cni_runtime.plugins.registry import BuiltinPlugins
from cni_runtime.result import encode_result
from cni_runtime.versions import SUPPORTED, require, version_of

_log = logging.getLogger(__name__)


class BuiltinInvoker:
    """An Invoker for the types of the registry. For one event loop; ``aclose`` ends what it does in the background."""

    def __init__(
        self,
        *,
        delegates: Invoker | None = None,
        plugins: Mapping[str, Plugin] | None = None,
        state: Path = STATE,
        data: Path = DEFAULT_DIR,
    ) -> None:
        """``delegates`` runs the plugins that a plugin delegates to (IPAM); None: this object does.

        ``state`` holds what a reboot should forget, ``data`` what it should not.
        """
        self._plugins = BuiltinPlugins() if plugins is None else plugins
        self._nft = open_nft()
        self._reaper = Reaper()
        self._context = Context(delegates or self, self._nft, self._reaper, state, data)

    @property
    def types(self) -> frozenset[str]:
        """The plugin types that are built in."""
        return frozenset(self._plugins)

    def prepare(self, types: Iterable[str]) -> None:
        """Import the plugins of these types, so that no first call has to. Blocks; may run in any thread."""
        for plugin in types:
            self._plugins.get(plugin)

    async def invoke(self, call: PluginCall) -> Mapping[str, Any] | None:
        """See Invoker. Whatever goes wrong is a PluginError with the seconds it took."""
        started = time.perf_counter()
        try:
            return await self._run(call)
        except Exception as exc:
            raise _plugin_error(call, exc, time.perf_counter() - started) from exc

    async def aclose(self) -> None:
        """Finish what DEL left for later, and close the sockets."""
        await self._reaper.aclose()
        self._context.netfilter.close()
        self._nft.close()

    async def _run(self, call: PluginCall) -> Mapping[str, Any] | None:
        plugin = self._plugins.get(call.type)
        if plugin is None:
            message = "there is no built-in plugin of this type"
            raise CniError(message, code=ErrorCode.PLUGIN_NOT_AVAILABLE, nothing_done=True)
        version = require(version_of(call.config))
        match call.verb:
            case Verb.ADD:
                return encode_result(await plugin.add(call, self._context), version)
            case Verb.VERSION:
                return {"cniVersion": version, "supportedVersions": list(SUPPORTED)}
            case Verb.DEL:
                await plugin.delete(call, self._context)
            case Verb.CHECK:
                await plugin.check(call, self._context)
            case Verb.GC:
                await plugin.gc(call, self._context)
            case Verb.STATUS:
                await plugin.status(call, self._context)
        return None


def _plugin_error(call: PluginCall, exc: Exception, elapsed: float) -> PluginError:
    code: int = ErrorCode.INTERNAL
    message, details, nothing_done = str(exc) or type(exc).__name__, "", False
    if isinstance(exc, CniError):
        code, details, nothing_done = exc.code, exc.details, exc.nothing_done
        message = exc.message if not isinstance(exc, PluginError) else str(exc).removesuffix(f": {details}")
    elif isinstance(exc, OSError):
        code = ErrorCode.IO_FAILURE
    else:
        _log.error("plugin %s %s has a bug", call.type, call.verb, exc_info=exc)
        message = f"internal error: {message}"
    notes = "; ".join(getattr(exc, "__notes__", ()))
    details = "; ".join(part for part in (details, notes) if part)
    return PluginError(
        message,
        plugin=call.type,
        verb=call.verb,
        code=code,
        details=details,
        elapsed=elapsed,
        nothing_done=nothing_done,
    )
