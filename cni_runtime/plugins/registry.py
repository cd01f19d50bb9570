"""Every built-in plugin, by type. A type that is not here is an executable's."""

from __future__ import annotations

from collections.abc import Mapping

from cni_runtime.plugins.bandwidth.plugin import Bandwidth
from cni_runtime.plugins.base import Plugin
from cni_runtime.plugins.bridge.plugin import Bridge
from cni_runtime.plugins.firewall.plugin import Firewall
from cni_runtime.plugins.flannel.plugin import Flannel
from cni_runtime.plugins.host_device.plugin import HostDevice
from cni_runtime.plugins.host_local.plugin import HostLocal
from cni_runtime.plugins.ipvlan import Ipvlan
from cni_runtime.plugins.loopback import Loopback
from cni_runtime.plugins.macvlan import Macvlan
from cni_runtime.plugins.portmap.plugin import Portmap
from cni_runtime.plugins.ptp import Ptp
from cni_runtime.plugins.sbr import Sbr
from cni_runtime.plugins.static import Static
from cni_runtime.plugins.tuning.plugin import Tuning
from cni_runtime.plugins.vlan import Vlan


def builtin_plugins() -> Mapping[str, Plugin]:
    """New instances of all built-in plugins."""
    plugins: tuple[Plugin, ...] = (
        Bandwidth(),
        Bridge(),
        Firewall(),
        Flannel(),
        HostDevice(),
        HostLocal(),
        Ipvlan(),
        Loopback(),
        Macvlan(),
        Portmap(),
        Ptp(),
        Sbr(),
        Static(),
        Tuning(),
        Vlan(),
    )
    return {plugin.type: plugin for plugin in plugins}
