"""Every built-in plugin, by type. A type that is not here is an executable's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module

from cni_runtime.plugins.base import Plugin

_CLASSES = {
    "bandwidth": "bandwidth.plugin:Bandwidth",
    "bridge": "bridge.plugin:Bridge",
    "firewall": "firewall.plugin:Firewall",
    "flannel": "flannel.plugin:Flannel",
    "host-device": "host_device.plugin:HostDevice",
    "host-local": "host_local.plugin:HostLocal",
    "ipvlan": "ipvlan:Ipvlan",
    "loopback": "loopback:Loopback",
    "macvlan": "macvlan:Macvlan",
    "portmap": "portmap.plugin:Portmap",
    "ptp": "ptp:Ptp",
    "sbr": "sbr:Sbr",
    "static": "static:Static",
    "tuning": "tuning.plugin:Tuning",
    "vlan": "vlan:Vlan",
}

TYPES = frozenset(_CLASSES)


class BuiltinPlugins(Mapping[str, Plugin]):
    """New instances of all built-in plugins. Each is imported when it is first asked for: few nodes use many."""

    def __init__(self) -> None:
        self._made: dict[str, Plugin] = {}

    def __getitem__(self, plugin: str) -> Plugin:
        if plugin not in self._made:
            self._made.setdefault(plugin, _make(_CLASSES[plugin]))  # another thread may have been quicker
        return self._made[plugin]

    def __iter__(self) -> Iterator[str]:
        return iter(_CLASSES)

    def __len__(self) -> int:
        return len(_CLASSES)


def _make(place: str) -> Plugin:
    module, _, name = place.partition(":")
    made: Plugin = getattr(import_module(f"cni_runtime.plugins.{module}"), name)()
    return made
