"""The packet filter table of firewall, and what a pod has in it. Pure.

Pods' addresses are the state from which rules in iptables are made, too. Bridges are shared by all their pods.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_address

from cni_runtime.net.nft import Element, Holding, Table

TABLE = Table(
    "cni_runtime_firewall",
    """
    set pods4 { type ipv4_addr; }
    set pods6 { type ipv6_addr; }
    set closed { type ifname; }
    set within { type ifname . ifname; }
    set isolated { type ifname . ifname; }
    chain forward {
        type filter hook forward priority filter; policy accept;
        iifname . oifname @isolated drop
        iifname . oifname @within accept
        iifname @closed oifname @closed drop
        ip daddr @pods4 ct state established,related accept
        ip6 daddr @pods6 ct state established,related accept
        ip saddr @pods4 accept
        ip6 saddr @pods6 accept
    }
    """,
)


def elements(addresses: Iterable[str], bridge: str = "", *, isolated: bool = False) -> tuple[Element, ...]:
    """What a pod with these addresses has, and what closes off its bridge if that is given."""
    found = [Element(f"pods{ip_address(address).version}", address) for address in addresses]
    if bridge:
        found.append(Element("closed", f'"{bridge}"', shared=True))
        found.append(Element("within", f'"{bridge}" . "{bridge}"', shared=True))
        if isolated:
            found.append(Element("isolated", f'"{bridge}" . "{bridge}"', shared=True))
    return tuple(found)


def addresses_in(holding: Holding) -> tuple[str, ...]:
    """The pod's addresses out of what it has."""
    return tuple(element.key for element in holding.elements if element.set in ("pods4", "pods6"))
