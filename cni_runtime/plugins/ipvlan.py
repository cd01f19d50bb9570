"""ipvlan: the pod's interface has addresses of its own, with the MAC of a link of the host, or of the pod.

In a chain after another plugin it takes the link which that one made as its master, and its addresses.

Source: the options of the reference plugin 1.9.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from msgspec import Meta, Struct

from cni_runtime.call import PluginCall, Verb
from cni_runtime.errors import ConfigError
from cni_runtime.net.children import Child
from cni_runtime.plugins.base import Context, decode, previous_of, where_of
from cni_runtime.plugins.child_link import ChildLinkPlugin, Wanted
from cni_runtime.plugins.delegate import IpamConfig
from cni_runtime.plugins.pod_link import notify_sysctls


class IpvlanConfig(Struct, frozen=True, rename={"link_in_container": "linkInContainer"}):
    """The options. MTU in bytes, 0: the master's."""

    master: str = ""
    mode: Literal["", "l2", "l3", "l3s"] = ""
    mtu: Annotated[int, Meta(ge=0)] = 0
    link_in_container: bool = False
    ipam: IpamConfig = IpamConfig()


class Ipvlan(ChildLinkPlugin):
    """See the module."""

    type: ClassVar[str] = "ipvlan"

    def wanted(self, call: PluginCall, context: Context) -> Wanted:
        config = decode(call, IpvlanConfig, context)
        previous = previous_of(call) if call.verb is Verb.ADD else None
        master = config.master
        if previous is not None and not master:
            if len(previous.interfaces) != 1:
                raise ConfigError(f"{where_of(call)}: expected one interface in prevResult, the master")
            master = previous.interfaces[0].name
        chained = previous is not None and previous.ips and not config.ipam.type
        return Wanted(
            child=Child("ipvlan", master, mtu=config.mtu, mode=config.mode or "l2"),
            ipam=config.ipam,
            parent_in_pod=config.link_in_container,
            addresses=previous if chained else None,
            sysctls=notify_sysctls(call.ifname),
            bounded=False,
        )
