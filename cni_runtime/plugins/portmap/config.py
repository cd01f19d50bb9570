"""The options of portmap and the mappings of a pod, validated. Pure. Source: the reference plugin 1.9."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address, ip_interface
from typing import Annotated

from msgspec import Meta, Struct

from cni_runtime.call import PluginCall
from cni_runtime.errors import ConfigError
from cni_runtime.ip import not_mapped
from cni_runtime.plugins.base import Context, decode, runtime_config, where_of
from cni_runtime.plugins.portmap.conditions import is_iptables, translate
from cni_runtime.result import IPConfig, Result

PROTOCOLS = {"tcp": 6, "udp": 17, "sctp": 132}
_Port = Annotated[int, Meta(ge=1, le=65535)]


class PortmapConfig(Struct, frozen=True, rename="camel"):
    """Options as they stand."""

    backend: str | None = None
    snat: bool = True
    masq_all: bool = False
    mark_masq_bit: Annotated[int, Meta(ge=0, le=31)] | None = None
    external_set_mark_chain: str | None = None
    conditions_v4: tuple[str, ...] = ()
    conditions_v6: tuple[str, ...] = ()

    def conditions(self, family: int) -> str:
        """What packets of IP version ``family`` have to match, in nft's language; empty: all. Raises ConfigError."""
        return translate(self.conditions_v4 if family == 4 else self.conditions_v6, family)


class PortMapping(
    Struct, frozen=True, rename={"host_port": "hostPort", "container_port": "containerPort", "host_ip": "hostIP"}
):
    """One mapping as the runtime asks for it."""

    host_port: _Port
    container_port: _Port
    protocol: str | None = None
    host_ip: str | None = None


class _Runtime(Struct, rename="camel"):
    port_mappings: tuple[PortMapping, ...] = ()


class Forward(Struct, frozen=True):
    """A mapping for one IP version. ``host`` is the host's address that it is for, empty: all of them.

    ``pod`` is the pod's address, ``subnet`` the network that it shares with others.
    """

    family: int
    protocol: str
    host: str
    host_port: int
    pod: str
    subnet: str
    pod_port: int

    @property
    def claim(self) -> tuple[int, str, int]:
        """What, together with ``host``, nobody else may have."""
        return self.family, self.protocol, self.host_port


def portmap_config(call: PluginCall, context: Context) -> PortmapConfig:
    """The validated options of ``call``. Raises ConfigError."""
    config = decode(call, PortmapConfig, context)
    problem = _contradiction(config)
    if problem:
        raise ConfigError(f"{where_of(call)}: {problem}")
    for family in (4, 6):
        config.conditions(family)
    return config


def port_mappings(call: PluginCall) -> tuple[PortMapping, ...]:
    """The mappings of ``runtimeConfig``. Raises ConfigError."""
    mappings = runtime_config(call, _Runtime).port_mappings
    for mapping in mappings:
        if _protocol(mapping) not in PROTOCOLS:
            raise ConfigError(f"{where_of(call)}: expected protocol tcp, udp or sctp, got {mapping.protocol!r}")
        _host(call, mapping)
    return mappings


def forwards(call: PluginCall, result: Result, mappings: tuple[PortMapping, ...]) -> tuple[Forward, ...]:
    """The mappings for each of the pod's addresses. Raises ConfigError when two of them contradict each other."""
    found = dict.fromkeys(one for address in pod_addresses(call, result) for one in _forwards(call, address, mappings))
    targets: dict[tuple[tuple[int, str, int], str], Forward] = {}
    for forward in found:
        other = targets.setdefault((forward.claim, forward.host), forward)
        if other != forward:
            port = f"{forward.protocol} host port {forward.host_port}"
            raise ConfigError(f"{where_of(call)}: {port} is mapped to both {other.pod_port} and {forward.pod_port}")
    return tuple(found)


def pod_addresses(call: PluginCall, result: Result) -> tuple[IPConfig, ...]:
    """The first address of each family that belongs to the pod's interface, or to none."""
    first: dict[int, IPConfig] = {}
    for ip in result.ips:
        if ip.interface is not None:
            interface = result.interfaces[ip.interface]
            if interface.name != call.ifname or not interface.sandbox:
                continue
        first.setdefault(ip.family, ip)
    return tuple(first[family] for family in sorted(first))


def _forwards(call: PluginCall, address: IPConfig, mappings: tuple[PortMapping, ...]) -> Iterator[Forward]:
    for mapping in mappings:
        family, host = _host(call, mapping)
        if family in (0, address.family):
            yield Forward(
                family=address.family,
                protocol=_protocol(mapping),
                host=host,
                host_port=mapping.host_port,
                pod=address.ip,
                subnet=str(ip_interface(address.address).network),
                pod_port=mapping.container_port,
            )


def _protocol(mapping: PortMapping) -> str:
    return (mapping.protocol or "tcp").lower()


def _host(call: PluginCall, mapping: PortMapping) -> tuple[int, str]:
    """Family (0: both) and address (empty: all of the family) that a mapping is for."""
    if not mapping.host_ip:
        return 0, ""
    try:
        address = not_mapped(ip_address(mapping.host_ip))
    except ValueError as exc:
        raise ConfigError(f"{where_of(call)}: hostIP: {exc}") from exc
    return address.version, "" if address.is_unspecified else str(address)


def _contradiction(config: PortmapConfig) -> str:
    if config.backend not in (None, "iptables", "nftables"):
        return f"backend: expected 'iptables' or 'nftables', got {config.backend[:80]!r}"
    if config.mark_masq_bit is not None and config.external_set_mark_chain is not None:
        return "markMasqBit and externalSetMarkChain cannot both be given"
    of_iptables = ["externalSetMarkChain"] if config.external_set_mark_chain is not None else []
    of_nftables: list[str] = []
    for name, conditions in (("conditionsV4", config.conditions_v4), ("conditionsV6", config.conditions_v6)):
        if any(conditions):
            (of_iptables if is_iptables(conditions) else of_nftables).append(name)
    wrong = of_iptables if config.backend == "nftables" else of_nftables if config.backend == "iptables" else []
    return f"backend {config.backend} does not go with {', '.join(wrong)}" if wrong else ""
