"""Every built-in plugin, by type. A type that is not here is an executable's."""

from __future__ import annotations

from collections.abc import Mapping

from cni_runtime.plugins.base import Plugin
from cni_runtime.plugins.loopback import Loopback


def builtin_plugins() -> Mapping[str, Plugin]:
    """New instances of all built-in plugins."""
    plugins: tuple[Plugin, ...] = (Loopback(),)
    return {plugin.type: plugin for plugin in plugins}
