"""Networks that together have every built-in plugin in them, and a host on which they work."""

from __future__ import annotations

import json
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
_SHARED = {"lock", ".boot_id", "last_reserved_ip.0", "last_reserved_ip.1", "table"}


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


def state(host: Host) -> frozenset[str]:
    """What there is on the host of pods: links, addresses, routes, qdiscs, rules and sets, files; and sysctls."""
    shown: set[str] = set()
    for link in host.ip("address"):
        addresses = (f"{one.get('local')}/{one.get('prefixlen')}" for one in link["addr_info"])
        shown |= {f"link {link['ifname']} {link['address']} {link['mtu']}"}
        shown |= {f"address {link['ifname']} {one}" for one in addresses if not one.startswith("fe80:")}
    for family in ("-4", "-6"):
        routes = host.run("ip", family, "route", "show", "table", "all").splitlines()
        shown |= {
            f"route {line.replace('linkdown', '').strip()}"
            for line in routes
            if "fe80::" not in line and "multicast" not in line
        }
        shown |= {f"rule {line.strip()}" for line in host.run("ip", family, "rule").splitlines()}
    shown |= {f"qdisc {line.partition(' refcnt')[0]}" for line in host.run("tc", "qdisc").splitlines()}
    rules = host.run("nft", "--stateless", "list", "ruleset")
    shown |= {f"nft {part.strip()}" for line in rules.splitlines() for part in line.split(",")}
    every = [path for place in _PLACES for path in Path(place).rglob("*")]
    return frozenset(shown | {f"file {path}" for path in every if path.is_file() and path.name not in _SHARED})
