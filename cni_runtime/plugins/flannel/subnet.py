"""What flanneld says of this node, in subnet.env: lines of the form NAME=VALUE."""

from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path

from msgspec import Struct

from cni_runtime.errors import CniError, ErrorCode

SUBNET_FILE = Path("/run/flannel/subnet.env")

_NETWORKS = {4: "FLANNEL_NETWORK", 6: "FLANNEL_IPV6_NETWORK"}
_SUBNETS = {4: "FLANNEL_SUBNET", 6: "FLANNEL_IPV6_SUBNET"}


class Subnet(Struct, frozen=True):
    """The networks of the cluster and the subnets of this node in CIDR notation, IPv4 first. MTU in bytes.

    ``masquerade``: flanneld translates the addresses of what leaves the cluster's networks itself.
    """

    networks: tuple[str, ...]
    subnets: tuple[str, ...]
    mtu: int
    masquerade: bool


def read_subnet(path: Path) -> Subnet:
    """What is in the file. Raises CniError (PLUGIN_NOT_AVAILABLE when it is not there), OSError."""
    try:
        text = path.read_text()
    except FileNotFoundError:
        message = f"{path} is not there: flanneld has not got a subnet for this node yet"
        raise CniError(message, code=ErrorCode.PLUGIN_NOT_AVAILABLE) from None
    return parse_subnet(text, str(path))


def parse_subnet(text: str, where: str) -> Subnet:
    """What ``text`` says; ``where`` is for errors. Raises CniError. Pure."""
    found = dict(line.strip().partition("=")[::2] for line in text.splitlines() if "=" in line)
    networks = _addresses(found, _NETWORKS, where)
    subnets = _addresses(found, _SUBNETS, where)
    missing = [
        *([] if networks else [" or ".join(_NETWORKS.values())]),
        *([] if subnets else [" or ".join(_SUBNETS.values())]),
        *(name for name in ("FLANNEL_MTU", "FLANNEL_IPMASQ") if name not in found),
    ]
    if missing:
        raise CniError(f"{where} does not say {', '.join(missing)}")
    mtu = found["FLANNEL_MTU"]
    if not (mtu.isascii() and mtu.isdigit()):
        raise CniError(f"{where}: FLANNEL_MTU: expected a number, got {mtu[:80]!r}")
    return Subnet(networks, subnets, int(mtu), found["FLANNEL_IPMASQ"] == "true")


def _addresses(found: dict[str, str], names: dict[int, str], where: str) -> tuple[str, ...]:
    """The networks that the variables of both families list, each once."""
    networks: dict[str, None] = {}
    for family, name in names.items():
        for part in found.get(name, "").split(","):
            if part:
                networks[_network(part, family, f"{where}: {name}")] = None
    return tuple(networks)


def _network(text: str, family: int, where: str) -> str:
    try:
        network = ip_network(text.strip(), strict=False)
    except ValueError:
        network = None
    if network is None or network.version != family or "/" not in text:
        raise CniError(f"{where}: expected an IPv{family} network in CIDR notation, got {text[:80]!r}")
    return str(network)
