"""From configuration, addresses and what was seen of the host to the effects of an ADD. Pure."""

from __future__ import annotations

from msgspec import Struct, structs

from cni_runtime.errors import CniError
from cni_runtime.ip import ip_interface
from cni_runtime.net.effects import AddBridge, AddVeth, ChangeLink, Configure, ConfigurePort, SetSysctls
from cni_runtime.net.inspect import Address, Link
from cni_runtime.net.plan import Effect, Plan, Where
from cni_runtime.plugins.bridge.config import BridgeConfig
from cni_runtime.plugins.pod_link import forwarding_sysctls, notify_sysctls, pod_link_plan
from cni_runtime.result import Interface, IPConfig, Result, Route

POD_INDEX = 2
"""Where the pod's interface stands in the result, after the bridge and the host's end."""


class Names(Struct, frozen=True):
    """What is drawn at random for one ADD: the host's end of the pair and MACs."""

    veth: str
    veth_mac: str
    pod_mac: str
    bridge_mac: str
    vlan_veth: str
    vlan_veth_mac: str
    vlan_mac: str


class Seen(Struct, frozen=True):
    """What was found on the host: a link, its addresses, and how many of its ports have an interface at work.

    ``port`` is the other end of a VLAN's link, if that is a port of the bridge.
    """

    link: Link | None = None
    addresses: tuple[Address, ...] = ()
    live_ports: tuple[Link, ...] = ()
    port: str = ""


class AddressTakenError(CniError):
    """The bridge has another address that cannot be replaced, since pods use it."""

    def __init__(self, link: str, has: str, wanted: str, ports: tuple[Link, ...]) -> None:
        super().__init__(f"{link} has the address {has}, other than {wanted}, and pods use it")
        self.ports = ports


def with_gateways(config: BridgeConfig, ipam: Result) -> Result:
    """The IPAM result with the gateways and default routes that the configuration asks for, for the pod's interface."""
    ips = tuple(structs.replace(_with_gateway(config, ip), interface=POD_INDEX) for ip in ipam.ips)
    routes = list(ipam.routes)
    if config.is_default_gateway:
        for ip in ips:
            default = "0.0.0.0/0" if ip.family == 4 else "::/0"
            if not any(route.gw and route.dst == default for route in routes):
                routes.append(Route(dst=default, gw=ip.gateway))
    return structs.replace(ipam, ips=ips, routes=tuple(routes))


def gateway_addresses(config: BridgeConfig, result: Result) -> tuple[str, ...]:
    """The addresses that the bridge has to have, each in the form 10.1.2.1/24."""
    if not config.gateway:
        return ()
    return tuple(f"{ip.gateway}/{ip_interface(ip.address).network.prefixlen}" for ip in result.ips)


def bridge_plan(config: BridgeConfig, seen: Seen, names: Names) -> Plan:
    """Effects that make the bridge, or bring the one that is there into the state asked for."""
    effects: list[Effect] = []
    link = seen.link
    if link is None:
        filtering = config.vlan_filtering
        effects.append(AddBridge(config.bridge, names.bridge_mac, mtu=config.mtu, vlan_filtering=filtering))
    elif link.kind != "bridge":
        raise CniError(f"{config.bridge} is there already, but is not a bridge")
    promiscuous = True if config.promisc_mode and not (link and link.promiscuous) else None
    filtering = link is not None and config.vlan_filtering and not link.vlan_filtering
    down = link is not None and not link.admin_up
    if promiscuous or filtering or down:
        change = ChangeLink(
            Where.HOST, config.bridge, up=True if down else None, promiscuous=promiscuous, vlan_filtering=filtering
        )
        effects.append(change)
    # Each time: a bridge that somebody else has made would take the pods for routers.
    effects.append(SetSysctls(Where.HOST, ((f"net/ipv6/conf/{config.bridge}/accept_ra", "0"),)))
    return tuple(effects)


def port_plan(config: BridgeConfig, seen: Seen, names: Names, ifname: str) -> Plan:
    """Effects that make the pod's pair with its host end in the bridge."""
    veth = AddVeth(names.veth, ifname, names.veth_mac, peer_mac=names.pod_mac, mtu=config.mtu, master=config.bridge)
    effects: list[Effect] = [veth, SetSysctls(Where.HOST, ((f"net/ipv6/conf/{names.veth}/accept_ra", "0"),))]
    tagged = config.vlan != 0 or bool(config.trunk)
    if tagged or config.hairpin_mode or config.port_isolation:
        drop = _default_vlan(seen) if tagged and not config.preserve_default_vlan else 0
        native = config.vlan or (1 if config.trunk else 0)
        effects.append(
            ConfigurePort(
                names.veth,
                hairpin=config.hairpin_mode,
                isolated=config.port_isolation,
                drop_vlan=drop,
                native_vlan=native,
                vlans=config.trunk,
            )
        )
    return tuple(effects)


def pod_plan(config: BridgeConfig, ifname: str, result: Result) -> Plan:
    """Effects inside the pod: addresses and routes, or just up for a layer 2 interface."""
    if config.disable_container_interface:
        return ()
    if not config.ipam.type:
        return (Configure(Where.POD, ifname),)
    dad = (("enhanced_dad", "1"), ("accept_dad", "1")) if config.enabledad else (("accept_dad", "0"),)
    sysctls = (*((f"net/ipv6/conf/{ifname}/{key}", value) for key, value in dad), *notify_sysctls(ifname))
    return pod_link_plan(ifname, result.ips, result.routes, dad=config.enabledad, sysctls=sysctls)


def vlan_gateway_plan(config: BridgeConfig, seen: Seen, vlan_link: Seen, names: Names) -> Plan:
    """Effects that make the link with the gateway's address when the pods are in a VLAN: a veth into the bridge.

    All pods of the VLAN share it. One that is there is brought into shape: its maker may have been killed before that.
    """
    effects: list[Effect] = []
    port = vlan_link.port
    if vlan_link.link is None:
        port = names.vlan_veth
        veth = AddVeth(
            port,
            config.vlan_link,
            names.vlan_veth_mac,
            peer_mac=names.vlan_mac,
            mtu=seen.link.mtu if seen.link else config.mtu,
            master=config.bridge,
            peer_in_pod=False,
            lasting=True,
        )
        effects.append(veth)
    if port:
        default = _default_vlan(seen)
        # The VLAN of a port at work is not taken off, not even to be put on again.
        drop = default if default != config.vlan and not config.preserve_default_vlan else 0
        effects.append(ConfigurePort(port, drop_vlan=drop, native_vlan=config.vlan))
    return (*effects, ChangeLink(Where.HOST, config.vlan_link, up=True))


def gateway_plan(link: str, seen: Seen, wanted: tuple[str, ...], *, force: bool) -> Plan:
    """Effects that give ``link`` the addresses ``wanted`` and turn forwarding on.

    An address in the way is removed when ``force`` says so or when no pod uses it; otherwise AddressTakenError.
    """
    if not wanted:
        return ()
    old, new = in_the_way(seen, wanted), _missing(seen, wanted)
    if old and seen.live_ports and not force:
        raise AddressTakenError(link, old[0], ", ".join(new), seen.live_ports)
    effects: list[Effect] = []
    if new:
        if seen.link is not None:
            effects.append(ChangeLink(Where.HOST, link, mac=seen.link.mac))
        effects.append(Configure(Where.HOST, link, new, remove_addresses=old, shared=True))
    return (*effects, SetSysctls(Where.HOST, forwarding_sysctls(wanted), required=True))


def in_the_way(seen: Seen, wanted: tuple[str, ...]) -> tuple[str, ...]:
    """Addresses of the link that cannot stay beside the wanted ones that it lacks.

    IPv4: any other. IPv6: one whose network overlaps.
    """
    found: list[str] = []
    for new in map(ip_interface, _missing(seen, wanted)):
        for old in (ip_interface(address.address) for address in seen.addresses):
            overlaps = new.version == 4 or old.ip in new.network or new.ip in old.network
            if old.version == new.version and overlaps and str(old) not in wanted:
                found.append(str(old))
    return tuple(dict.fromkeys(found))


def bridge_result(
    config: BridgeConfig, names: Names, result: Result, *, netns: str, ifname: str, bridge_mac: str, vlan_mac: str
) -> Result:
    """The result of an ADD. ``vlan_mac`` is empty when there is no VLAN's gateway."""
    interfaces = [
        Interface(name=config.bridge, mac=bridge_mac),
        Interface(name=names.veth, mac=names.veth_mac),
        Interface(name=ifname, mac=names.pod_mac, sandbox=netns),
    ]
    if vlan_mac:
        interfaces.append(Interface(name=config.vlan_link, mac=vlan_mac))
    return structs.replace(result, interfaces=tuple(interfaces))


def _with_gateway(config: BridgeConfig, ip: IPConfig) -> IPConfig:
    if ip.gateway or not config.gateway:
        return ip
    return structs.replace(ip, gateway=str(ip_interface(ip.address).network.network_address + 1))


def _default_vlan(seen: Seen) -> int:
    return seen.link.default_vlan if seen.link else 1


def _missing(seen: Seen, wanted: tuple[str, ...]) -> tuple[str, ...]:
    present = {address.address for address in seen.addresses}
    return tuple(address for address in wanted if address not in present)
