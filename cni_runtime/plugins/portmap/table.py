"""The packet filter table of portmap, and what a pod has in it. Pure.

A packet for an address of the host is looked up by protocol and port, first together with the address (``one``),
then without (``any``). What comes back the same way is translated back by the kernel; so connections whose answer
would find a shorter way must seem to come from the host: those to a port in ``back`` from the pod's own subnet, the
pod itself included, and from the host's loopback address; those to a port in ``hide`` from anywhere. A subnet is a
rule of the chain ``subnets``, once for all pods in it: subnets of pods may overlap, and a set takes no such ranges.

A connection from 127.0.0.1 leaves the host by a link that has ``route_localnet`` set, see ``guard``. For [::1] there is
no such setting: an answer that is translated back to ::1 before it is routed is thrown away. So the connection gets the
host's address on the pod's link as its source before the kernel tracks it (``loopback_out``), and the answer gets ::1
as its destination when it is already on its way to the socket (``loopback_in``).
"""

from __future__ import annotations

import hashlib

from cni_runtime.net.nft import Element, Holding, Rival, Table
from cni_runtime.plugins.portmap.config import PROTOCOLS, Forward, PortmapConfig

PREFIX = "cni_runtime_hostport"

_SETS = """
    map any4 { type inet_proto . inet_service : ipv4_addr . inet_service; }
    map any6 { type inet_proto . inet_service : ipv6_addr . inet_service; }
    map one4 { type inet_proto . ipv4_addr . inet_service : ipv4_addr . inet_service; }
    map one6 { type inet_proto . ipv6_addr . inet_service : ipv6_addr . inet_service; }
    set back4 { type inet_proto . inet_service . ipv4_addr; }
    set back6 { type inet_proto . inet_service . ipv6_addr; }
    set hide4 { type inet_proto . inet_service . ipv4_addr; }
    set hide6 { type inet_proto . inet_service . ipv6_addr; }
    map loopback6 { type inet_proto . inet_service : ipv6_addr; }
    set answers6 { type inet_proto . inet_service . ipv6_addr; }
"""
_RULES = """
    chain ports4 {
        dnat ip to meta l4proto . ip daddr . th dport map @one4
        meta nfproto ipv4 dnat ip to meta l4proto . th dport map @any4
    }
    chain ports6 {
        dnat ip6 to meta l4proto . ip6 daddr . th dport map @one6
        meta nfproto ipv6 dnat ip6 to meta l4proto . th dport map @any6
    }
    chain subnets4 {
    }
    chain subnets6 {
    }
    chain loopback_in {
        type filter hook input priority 110; policy accept;
        ct direction reply ip6 saddr ::1 meta l4proto . th sport . ip6 daddr @answers6 ip6 daddr set ::1
    }
"""
# By chain, for pairs of a subnet with itself.
_SUBNETS = (
    ("subnets4", "ip saddr . ip daddr {{ {} }} masquerade"),
    ("subnets6", "ip6 saddr . ip6 daddr {{ {} }} masquerade"),
)


def portmap_table(config: PortmapConfig) -> Table:
    """The table for networks with the conditions of ``config``; one for all that have none. Raises ConfigError."""
    conditions = {family: config.conditions(family) for family in (4, 6)}
    text = "\0".join(conditions.values())
    name = f"{PREFIX}_{hashlib.sha256(text.encode()).hexdigest()[:8]}" if any(conditions.values()) else PREFIX
    lookup = "\n".join(
        f"meta nfproto ipv{family} {condition} fib daddr type local goto ports{family}"
        for family, condition in conditions.items()
    )
    # Each protocol in a rule of its own: else nft does not know the port of the original direction for a port.
    masquerade = "\n".join(
        f"ct status dnat meta l4proto {protocol} meta l4proto . ct original proto-dst . {ip} daddr {which}"
        for family, ip in ((4, "ip"), (6, "ip6"))
        for protocol in PROTOCOLS
        for which in _sources(family)
    )
    loopback = "ip6 saddr ::1 ip6 daddr ::1 ip6 saddr set meta l4proto . th dport map @loopback6"
    hooks = (
        _chain("loopback_out", "filter hook output priority raw", f"{conditions[6]} {loopback}"),
        _chain("prerouting", "nat hook prerouting priority dstnat", lookup),
        _chain("output", "nat hook output priority -100", lookup),
        # Before others decide on source addresses.
        _chain("postrouting", "nat hook postrouting priority srcnat - 5", masquerade),
    )
    return Table(name, _SETS + _RULES + "".join(hooks), rules=_SUBNETS)


def _sources(family: int) -> tuple[str, ...]:
    """Sets of ports, and what becomes of connections to them."""
    loopback = ("@back4 ip saddr 127.0.0.0/8 masquerade",) if family == 4 else ()
    return f"@hide{family} masquerade", f"@back{family} jump subnets{family}", *loopback


def _chain(name: str, hook: str, rules: str) -> str:
    return f"chain {name} {{\ntype {hook}; policy accept;\n{rules}\n}}\n"


def elements(config: PortmapConfig, forwards: tuple[Forward, ...], host6: str = "") -> tuple[Element, ...]:
    """What a pod has in the table. ``host6`` is the host's address that the pod sees; empty: [::1] leads nowhere."""
    found: dict[Element, None] = {}
    for forward in forwards:
        found[_translation(forward)] = None
        if config.snat:
            found |= dict.fromkeys(_sources_hidden(config, forward))
            if host6 and forward.family == 6 and forward.host in ("", "::1"):
                found |= dict.fromkeys(_loopback(forward, host6))
    return tuple(found)


def rival_of(forwards: tuple[Forward, ...]) -> Rival:
    """Finds an element that leads a port of ``forwards`` elsewhere: same protocol and port, an address in common."""
    claims: dict[tuple[int, str, int], set[str]] = {}
    for forward in forwards:
        claims.setdefault(forward.claim, set()).add(forward.host)

    # The end of the keys in question: it is much quicker to look at, and almost always another one.
    ends = tuple({f" . {port}" for _, _, port in claims})

    def rival(holding: Holding) -> Element | None:
        likely = (element for element in holding.elements if element.key.endswith(ends))
        return next((element for element in likely if _excludes(element, claims)), None)

    return rival


def describe(element: Element) -> str:
    """A translation, as an administrator would say it."""
    _, protocol, port, host = _claim(element)
    return f"{protocol} host port {port}{f' of {host}' if host else ''}"


def _excludes(element: Element, claims: dict[tuple[int, str, int], set[str]]) -> bool:
    if element.set[:3] not in ("any", "one"):
        return False
    family, protocol, port, host = _claim(element)
    mine = claims.get((family, protocol, port))
    return mine is not None and (not host or "" in mine or host in mine)


def _claim(element: Element) -> tuple[int, str, int, str]:
    """Family, protocol, port and address (empty: all) out of an element of a translation map."""
    parts = element.key.split(" . ")
    return int(element.set[-1]), parts[0], int(parts[-1]), parts[1] if len(parts) == 3 else ""


def _translation(forward: Forward) -> Element:
    target = f"{forward.pod} . {forward.pod_port}"
    if forward.host:
        return Element(f"one{forward.family}", f"{forward.protocol} . {forward.host} . {forward.host_port}", target)
    return Element(f"any{forward.family}", f"{forward.protocol} . {forward.host_port}", target)


def _loopback(forward: Forward, host6: str) -> tuple[Element, Element]:
    port = f"{forward.protocol} . {forward.host_port}"
    return Element("loopback6", port, host6), Element("answers6", f"{port} . {host6}")


def _sources_hidden(config: PortmapConfig, forward: Forward) -> tuple[Element, ...]:
    key = f"{forward.protocol} . {forward.host_port} . {forward.pod}"
    if config.masq_all:
        return (Element(f"hide{forward.family}", key),)
    subnet = Element(f"subnets{forward.family}", f"{forward.subnet} . {forward.subnet}", shared=True)
    return Element(f"back{forward.family}", key), subnet
