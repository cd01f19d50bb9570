"""CNI network configuration lists for tests and benchmarks, built out of named plugins."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[2]
Plugin = dict[str, Any]


class PluginSet(NamedTuple):
    """A directory of plugin executables and the newest CNI version that they speak."""

    name: str
    directory: Path
    cni_version: str


DEBIAN = PluginSet("debian", Path("/usr/lib/cni"), "1.0.0")
CURRENT = PluginSet("current", ROOT / ".build/bin/cni", "1.1.0")


def conflist(name: str, *plugins: Plugin, version: str = CURRENT.cni_version) -> dict[str, Any]:
    """A network list."""
    return {"cniVersion": version, "name": name, "plugins": list(plugins)}


def host_local(*subnets: str) -> Plugin:
    """The ``ipam`` part: host-local with a range per subnet and a default route per family."""
    routes = [{"dst": "::/0" if ":" in subnet else "0.0.0.0/0"} for subnet in subnets]
    return {"type": "host-local", "ranges": [[{"subnet": subnet}] for subnet in subnets], "routes": routes}


def bridge(device: str, *subnets: str) -> Plugin:
    """A bridge that is the pods' gateway and masquerades what leaves the node."""
    ipam = host_local(*subnets)
    return {"type": "bridge", "bridge": device, "isGateway": True, "ipMasq": True, "hairpinMode": True, "ipam": ipam}


def ptp(*subnets: str) -> Plugin:
    """A veth pair per pod, no bridge."""
    return {"type": "ptp", "ipMasq": True, "ipam": host_local(*subnets)}


PORTMAP: Plugin = {"type": "portmap", "capabilities": {"portMappings": True}}
BANDWIDTH: Plugin = {"type": "bandwidth", "capabilities": {"bandwidth": True}}
FIREWALL: Plugin = {"type": "firewall"}
TUNING: Plugin = {"type": "tuning", "sysctl": {"net.core.somaxconn": "500"}, "mtu": 1400}
