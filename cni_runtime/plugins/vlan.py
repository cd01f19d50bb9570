"""vlan: the pod's interface is a VLAN of a link of the host, or of the pod.

Source: the options of the reference plugin 1.9.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

from msgspec import Meta, Struct

from cni_runtime.call import PluginCall
from cni_runtime.errors import ConfigError
from cni_runtime.net.children import Child
from cni_runtime.plugins.base import Context, decode, where_of
from cni_runtime.plugins.child_link import ChildLinkPlugin, Wanted
from cni_runtime.plugins.delegate import IpamConfig


class VlanConfig(Struct, frozen=True, rename={"vlan_id": "vlanId", "link_in_container": "linkInContainer"}):
    """The options. MTU in bytes, 0: the master's."""

    master: str = ""
    vlan_id: Annotated[int, Meta(ge=0, le=4094)] = 0
    mtu: Annotated[int, Meta(ge=0)] = 0
    link_in_container: bool = False
    ipam: IpamConfig = IpamConfig()


class Vlan(ChildLinkPlugin):
    """See the module."""

    type: ClassVar[str] = "vlan"

    def wanted(self, call: PluginCall, context: Context) -> Wanted:
        config = decode(call, VlanConfig, context)
        if not config.master:
            raise ConfigError(f"{where_of(call)}: expected the name of a link in `$.master`")
        child = Child("vlan", config.master, mtu=config.mtu, vlan=config.vlan_id)
        return Wanted(child=child, ipam=config.ipam, parent_in_pod=config.link_in_container)
