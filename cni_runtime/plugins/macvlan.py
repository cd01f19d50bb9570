"""macvlan: the pod's interface has a MAC of its own on a link of the host, or of the pod.

Source: the options of the reference plugin 1.9.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from msgspec import Meta, Struct

from cni_runtime import names
from cni_runtime.call import PluginCall, Verb
from cni_runtime.net.children import Child
from cni_runtime.plugins.base import Context, argument, decode, runtime_config
from cni_runtime.plugins.child_link import ChildLinkPlugin, Wanted
from cni_runtime.plugins.delegate import IpamConfig
from cni_runtime.plugins.pod_link import notify_sysctls
from cni_runtime.result import Result


class MacvlanConfig(Struct, frozen=True, rename={"link_in_container": "linkInContainer"}):
    """The options. MTU in bytes, 0: the master's; ``bcqueuelen`` in packets, 0: the kernel's choice."""

    master: str = ""
    mode: Literal["", "bridge", "private", "vepa", "passthru"] = ""
    mtu: Annotated[int, Meta(ge=0)] = 0
    mac: str = ""
    link_in_container: bool = False
    bcqueuelen: Annotated[int, Meta(ge=0, le=2**32 - 1)] = 0
    ipam: IpamConfig = IpamConfig()


class _Arguments(Struct, frozen=True):
    mac: str = ""


class Macvlan(ChildLinkPlugin):
    """See the module."""

    type: ClassVar[str] = "macvlan"

    def wanted(self, call: PluginCall, context: Context) -> Wanted:
        config = decode(call, MacvlanConfig, context)
        child = Child(
            "macvlan",
            config.master,
            mtu=config.mtu,
            mac=_mac(call, config) if call.verb is Verb.ADD else "",
            mode=config.mode or "bridge",
            broadcast_queue=config.bcqueuelen,
        )
        return Wanted(
            child=child,
            ipam=config.ipam,
            parent_in_pod=config.link_in_container,
            addresses=None if config.ipam.type else Result(),
            sysctls=notify_sysctls(call.ifname) if config.ipam.type else (),
        )


def _mac(call: PluginCall, config: MacvlanConfig) -> str:
    mac = runtime_config(call, _Arguments).mac or argument(call, "MAC") or config.mac
    return names.mac_address(mac) if mac else ""
