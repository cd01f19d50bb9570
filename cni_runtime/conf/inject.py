"""The complete object a plugin reads on standard input.

Everything in the plugin's own configuration passes through; the runtime sets ``name``, ``cniVersion``,
``prevResult``, ``runtimeConfig`` and, for GC, the valid attachments. Nothing is set to "empty": a key is there
or it is not. Source: CNI specification 1.1.0, section 3 "Deriving request configuration".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from cni_runtime.conf.types import NetworkList, PluginConf


def request_config(
    network: NetworkList,
    plugin: PluginConf,
    *,
    prev_result: Mapping[str, Any] | None = None,
    capability_args: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The object for ADD, DEL, CHECK and STATUS; of ``capability_args`` only what the plugin declares goes in."""
    config = {**plugin.raw, "name": network.name, "cniVersion": network.cni_version}
    if prev_result is not None:
        config["prevResult"] = prev_result
    granted = {name: value for name, value in (capability_args or {}).items() if name in plugin.capabilities}
    if granted:
        config["runtimeConfig"] = granted
    return config


def gc_config(network: NetworkList, plugin: PluginConf, valid: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """The object for GC; ``valid`` are pairs of container ID and interface name."""
    attachments = [{"containerID": container_id, "ifname": ifname} for container_id, ifname in valid]
    # "cni.dev/attachments" is what the first 1.1.0 plugins read.
    return {
        **request_config(network, plugin),
        "cni.dev/valid-attachments": attachments,
        "cni.dev/attachments": attachments,
    }
