"""The options of bridge, validated. Pure. Source: the options of the reference plugin 1.9."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta, Struct

from cni_runtime import names
from cni_runtime.call import PluginCall
from cni_runtime.errors import ConfigError
from cni_runtime.plugins.base import Context, argument, cni_arguments, decode, runtime_config, where_of
from cni_runtime.plugins.delegate import IpamConfig
from cni_runtime.plugins.masquerade import backend_problem

_VlanId = Annotated[int, Meta(ge=1, le=4094)]


class VlanTrunk(Struct, frozen=True, rename={"min_id": "minID", "max_id": "maxID"}):
    """VLANs that a port lets through with their tags: one, or a span of them, both ends included."""

    id: _VlanId | None = None
    min_id: _VlanId | None = None
    max_id: _VlanId | None = None

    def vlans(self) -> set[int]:
        """The VLANs of this entry; raises ConfigError."""
        single = {self.id} if self.id is not None else set()
        if self.min_id is None and self.max_id is None:
            return single
        if self.min_id is None or self.max_id is None:
            raise ConfigError("vlanTrunk: minID and maxID go together")
        if self.max_id < self.min_id:
            raise ConfigError(f"vlanTrunk: minID {self.min_id} is greater than maxID {self.max_id}")
        return single | set(range(self.min_id, self.max_id + 1))


class _Mac(Struct, frozen=True):
    mac: str = ""


class BridgeConfig(Struct, frozen=True, kw_only=True, rename="camel"):
    """Options as they stand. MTU in bytes, 0: the kernel's choice; VLAN 0: none."""

    bridge: str = "cni0"
    is_gateway: bool = False
    is_default_gateway: bool = False
    force_address: bool = False
    ip_masq: bool = False
    ip_masq_backend: str = ""
    mtu: Annotated[int, Meta(ge=0, le=65535)] = 0
    hairpin_mode: bool = False
    promisc_mode: bool = False
    vlan: Annotated[int, Meta(ge=0, le=4094)] = 0
    vlan_trunk: tuple[VlanTrunk, ...] | None = None
    preserve_default_vlan: bool = False
    macspoofchk: bool = False
    enabledad: bool = False
    disable_container_interface: bool = False
    port_isolation: bool = False
    ipam: IpamConfig = IpamConfig()

    @property
    def gateway(self) -> bool:
        """Whether the bridge has the gateway's address."""
        return self.is_gateway or self.is_default_gateway

    @property
    def vlan_filtering(self) -> bool:
        """Whether the bridge has to look at VLAN tags."""
        return self.vlan != 0 or self.vlan_trunk is not None

    @property
    def trunk(self) -> tuple[int, ...]:
        """All VLANs of ``vlan_trunk``, in order."""
        return tuple(sorted(set().union(*(entry.vlans() for entry in self.vlan_trunk or ()))))

    @property
    def vlan_link(self) -> str:
        """The name of the link that has the gateway's address when the pods are in a VLAN."""
        return f"{self.bridge}.{self.vlan}"


class SpoofCheck(Struct, frozen=True):
    """Whether DEL has to look for its rules; what is neither true nor false may once have been true."""

    macspoofchk: Any = False


def bridge_config(call: PluginCall, context: Context) -> BridgeConfig:
    """The validated options of ``call``. Raises ConfigError."""
    config = decode(call, BridgeConfig, context)
    names.interface_name(config.bridge)
    problem = _contradiction(config)
    if problem:
        raise ConfigError(f"{where_of(call)}: {problem}")
    _ = config.trunk
    return config


def requested_mac(call: PluginCall) -> str:
    """The MAC that the caller wants for the pod: of the runtime, else of the arguments; empty: any. ConfigError."""
    found = runtime_config(call, _Mac).mac or cni_arguments(call, _Mac).mac or argument(call, "MAC")
    return names.mac_address(found) if found else ""


def _contradiction(config: BridgeConfig) -> str:
    if config.hairpin_mode and config.promisc_mode:
        return "hairpinMode and promiscMode cannot both be true"
    if config.ipam.type and config.disable_container_interface:
        return "an interface that is kept down (disableContainerInterface) cannot have addresses (ipam)"
    if problem := backend_problem(config.ip_masq_backend):
        return problem
    if config.vlan and config.gateway and len(config.vlan_link) > 15:
        return f"the link name {config.vlan_link} is longer than 15 bytes"
    return ""
