"""Networks that together have every built-in plugin in them, and a host on which they work."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cni_runtime.conf.parse import parse_network_list
from cni_runtime.conf.types import NetworkList
from cni_runtime.runtime import Attachment
from cni_runtime.testing.host import Host
from tests.netns.plugins.test_child_links import OPTIONS, has

Plugin = dict[str, Any]

_LOCAL: Plugin = {"type": "host-local", "ranges": [[{"subnet": "10.1.0.0/24"}], [{"subnet": "fd00:1::/64"}]]}
_LOCAL4: Plugin = {"type": "host-local", "subnet": "10.1.0.0/24"}
_STATIC: Plugin = {"type": "static", "addresses": [{"address": "10.1.0.5/24", "gateway": "10.1.0.1"}]}
_BRIDGE: Plugin = {"type": "bridge", "isDefaultGateway": True, "hairpinMode": True, "ipMasq": True, "ipam": _LOCAL}
_PORTMAP: Plugin = {"type": "portmap", "capabilities": {"portMappings": True}}
_BANDWIDTH: Plugin = {"type": "bandwidth", "capabilities": {"bandwidth": True}}
_SYSCTLS = {"net.core.somaxconn": "500", "net.ipv4.conf.IFNAME.arp_filter": "1"}
_TUNING: Plugin = {"type": "tuning", "mtu": 1400, "promisc": True, "mac": "02:00:00:00:00:77", "sysctl": _SYSCTLS}

NETWORKS: dict[str, list[Plugin]] = {
    "loopback": [{"type": "loopback"}],
    "bridge": [{**_BRIDGE, "macspoofchk": True}, _TUNING, _BANDWIDTH, {"type": "firewall"}, _PORTMAP],
    "closed": [_BRIDGE, {"type": "firewall", "ingressPolicy": "isolated"}, {**_PORTMAP, "masqAll": True}],
    "ptp": [{"type": "ptp", "ipMasq": True, "ipam": _LOCAL}],
    "static": [{"type": "ptp", "ipam": _STATIC}, {"type": "sbr"}],
    "flannel": [{"type": "flannel", "delegate": {"isDefaultGateway": True}}],
    "host-device": [{"type": "host-device", "device": "d0", "ipam": _LOCAL4}, _TUNING],
    **{kind: [{**options, "ipam": _LOCAL4}] for kind, options in OPTIONS.items()},
}

_SUBNET_FILE = Path("/run/flannel/subnet.env")
_SUBNET = "FLANNEL_NETWORK=10.244.0.0/16\nFLANNEL_SUBNET=10.244.1.1/24\nFLANNEL_MTU=1450\nFLANNEL_IPMASQ=true\n"
_LIMITS = dict.fromkeys(("ingressRate", "ingressBurst", "egressRate", "egressBurst"), 8_000_000)
_PLACES = ("/var/lib/cni", "/run/cni", "/run/cni-runtime")
# What belongs to the host or to a network, and not to a container.
_SHARED = {"lock", ".boot_id", "..boot_id.partial", "last_reserved_ip.0", "last_reserved_ip.1"}
_SHARED |= {"table", ".table.partial"}
_LINKS = ("ip -json address", "ip -4 route show table all", "ip -6 route show table all", "tc qdisc")
_HOST = (*_LINKS, "nft --stateless list ruleset")
_POD = (*_LINKS, "ip -4 rule", "ip -6 rule", "sysctl net.core.somaxconn")
_END = "-- end --"


def network(kind: str) -> NetworkList:
    """One of the networks."""
    return parse_network_list(json.dumps({"cniVersion": "1.1.0", "name": "net", "plugins": NETWORKS[kind]}), "test")


def runs_here(host: Host, kind: str) -> bool:
    """Whether the kernel can make the links of a network."""
    return kind not in OPTIONS or has(host, kind)


def prepare(host: Host) -> None:
    """Give the host what the networks need: devices, flanneld's file, and an iptables that firewall has to do with."""
    for link, peer in (("d0", "d1"), ("up0", "up1")):
        host.run("ip", "link", "add", link, "type", "veth", "peer", "name", peer)
        for end in (link, peer):
            host.run("ip", "link", "set", end, "up")
    _SUBNET_FILE.parent.mkdir()
    _SUBNET_FILE.write_text(_SUBNET)
    for tool in ("iptables", "ip6tables"):
        host.run(tool, "-P", "FORWARD", "ACCEPT")


def attachment(pod: str) -> Attachment:
    """The interface of a pod, with everything that a runtime can ask for. Ports differ by the name's length."""
    ports = [{"hostPort": 8000 + len(pod), "containerPort": 80, "protocol": one} for one in ("tcp", "udp")]
    return Attachment(
        container_id=pod,
        netns=f"/run/netns/{pod}",
        ifname="eth0",
        capability_args={"portMappings": ports, "bandwidth": _LIMITS},
    )


def state(host: Host, pod: Path | None = None) -> frozenset[str]:
    """What there is: links, addresses, routes, qdiscs; on the host nftables and files; in the pod rules, a sysctl."""
    every = [path for place in _PLACES for path in Path(place).rglob("*")]
    files = {f"file {path}" for path in every if path.is_file() and path.name not in _SHARED}
    inside = {f"pod {line}" for line in _network_state(host, _POD, pod)} if pod else set()
    return frozenset({*files, *inside, *_network_state(host, _HOST)})


def _network_state(host: Host, show: tuple[str, ...], netns: Path | None = None) -> Iterator[str]:
    script = f"; echo '{_END}'; ".join(show)
    links, *others = host.run("sh", "-c", script, netns=netns).split(f"{_END}\n")
    for link in json.loads(links or "[]"):
        yield f"link {link['ifname']} {link['address']} {link['mtu']} {'UP' in link['flags'] or link['ifname'] != 'lo'}"
        addresses = (f"{one.get('local')}/{one.get('prefixlen')}" for one in link["addr_info"])
        yield from (f"address {link['ifname']} {one}" for one in addresses if not one.startswith("fe80:"))
    for command, lines in zip(show[1:], others, strict=True):
        for line in lines.replace(",", "\n").replace("linkdown", "").splitlines():
            text = line.partition(" refcnt")[0].strip()
            # The kernel makes these for each IPv6 link when its carrier comes, somewhat later.
            if not any(word in text for word in ("fe80:", "ff00::/8", "multicast")):
                yield f"{command.split()[0]} {text}"
