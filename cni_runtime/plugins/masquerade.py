"""Source NAT for traffic that leaves a pod's own subnet (``ipMasq``), for bridge and ptp.

One table of ours for each combination of subnets, which as a rule is one for each network: a pod is one element in it
for each of its addresses. A set of pairs of address and subnet would do with one table, but sets of intervals
are slow to change. What the reference plugins made for a pod (a rule in their nftables table, or an iptables chain) is
found by its name and removed on DEL as well.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterable
from typing import Any

from msgspec import Struct

from cni_runtime.call import PluginCall
from cni_runtime.ip import Interface, ip_interface
from cni_runtime.net.effects import AddElements
from cni_runtime.net.libnftables import Nft, list_chains
from cni_runtime.net.nft import Element, OwnedTable, Owner, Table, stored_tables
from cni_runtime.net.plan import Plan
from cni_runtime.plugins.base import Context, decode_some, network_of, owner_of, valid_attachments

log = logging.getLogger(__name__)

PREFIX = "cni_runtime_masquerade"
_BACKENDS = ("iptables", "nftables")  # of the reference plugins; here it is always nftables
_MULTICAST = {4: "224.0.0.0/4", 6: "ff00::/8"}

# Names of the reference plugins.
_THEIR_TABLE, _THEIR_CHAIN = "inet cni_plugins_masquerade", "masq_checks"


def backend_problem(name: str) -> str:
    """What is wrong with an ``ipMasqBackend``, empty when nothing is. Pure."""
    if not name or name in _BACKENDS:
        return ""
    return f"ipMasqBackend: expected {' or '.join(_BACKENDS)}, got {name[:80]!r}"


def masquerade(call: PluginCall, context: Context, addresses: Iterable[str]) -> Plan:
    """Effects for a pod with these addresses, each in the form 10.1.2.3/24: none for no address."""
    own = tuple(addresses)
    if not own:
        return ()
    table = OwnedTable(masquerade_table(own), context.nft, context.state, context.netfilter)
    return (AddElements(table, owner_of(call), masquerade_elements(own), take=True),)


def masquerade_table(addresses: Iterable[str]) -> Table:
    """The table for pods in the same subnets as one with these addresses. Pure."""
    interfaces = [ip_interface(address) for address in addresses]
    sets = "".join(f"set pods{at} {{ type ipv{one.version}_addr; }}\n" for at, one in enumerate(interfaces))
    rules = "".join(f"{_rule(at, one)}\n" for at, one in enumerate(interfaces))
    body = f"{sets}chain postrouting {{\ntype nat hook postrouting priority srcnat; policy accept;\n{rules}}}\n"
    return Table("_".join((PREFIX, *map(_label, interfaces))), body)


def masquerade_elements(addresses: Iterable[str]) -> tuple[Element, ...]:
    """What a pod with these addresses has in the table. Pure."""
    return tuple(Element(f"pods{at}", str(ip_interface(address).ip)) for at, address in enumerate(addresses))


class _Asked(Struct, frozen=True, rename="camel"):
    ip_masq: Any = False


def end_masquerade(call: PluginCall, context: Context) -> list[OwnedTable]:
    """Take away what ADD of this call made, be it ours or the reference plugins'. Blocks. NftError, OSError.

    Returns the tables that are not used any more, for ``remove_later``.
    """
    if not decode_some(call, _Asked).ip_masq:  # what is neither true nor false may have been true for ADD
        return []
    owner, tables = owner_of(call), _tables(context)
    dropped = [table.drop(owner, last=False) for table in tables]
    if not any(dropped):
        _remove_theirs(context.nft, owner)
    return [table for table in tables if table.is_unused()]


def remove_later(tables: Iterable[OwnedTable], context: Context) -> None:
    """Have tables taken away that are still unused after a while."""
    for table in tables:
        context.reaper.later(table.table.name, table.remove_unused)


def collect_masquerade(call: PluginCall, context: Context) -> None:
    """GC: take away what belongs to none of the valid attachments. Blocks. Raises NftError, OSError."""
    for table in _tables(context):
        table.keep_only(network_of(call), valid_attachments(call))


def repair_masquerade(call: PluginCall, context: Context) -> None:
    """CHECK: make the table again if another program flushed it. Blocks. Raises NftError, OSError."""
    owner = owner_of(call)
    for table in _tables(context):
        if table.holding(owner) and not table.in_force(owner):
            log.warning("network %s: masquerading rules were gone and are made again", network_of(call))
            table.rebuild()


def reference_chain(owner: Owner) -> str:
    """The iptables chain that the reference plugins make for a pod. Pure."""
    digest = hashlib.sha512((owner.network + owner.container_id).encode()).hexdigest()
    return f"CNI-{digest}"[:28]


def reference_comment(owner: Owner) -> str:
    """How the comment of a reference plugin's rule for a pod begins. Pure."""
    parts = (owner.network, f"{owner.ifname}:{owner.container_id}")
    return "-".join(hashlib.sha512(part.encode()).hexdigest()[:16] for part in parts)


def _tables(context: Context) -> tuple[OwnedTable, ...]:
    return stored_tables(PREFIX, context.nft, context.state, context.netfilter)


def _rule(number: int, interface: Interface) -> str:
    ip = "ip" if interface.version == 4 else "ip6"
    outside = "" if _is_alone(interface) else f"{ip} daddr != {interface.network} "
    return f"{ip} saddr @pods{number} {outside}{ip} daddr != {_MULTICAST[interface.version]} masquerade"


def _label(interface: Interface) -> str:
    """The subnet in a form that can be part of a table's name."""
    if _is_alone(interface):
        return f"any{interface.version}"
    return str(interface.network).translate({ord("/"): "-", ord(":"): "."})


def _is_alone(interface: Interface) -> bool:
    """Whether the subnet is no more than the address: such pods share a table."""
    return interface.network.prefixlen == interface.network.max_prefixlen


def _remove_theirs(nft: Nft, owner: Owner) -> None:
    comment, chain = reference_comment(owner), reference_chain(owner)
    present = list_chains(nft)
    for rule in _rules(nft, present, _THEIR_TABLE, _THEIR_CHAIN):
        if str(rule.get("comment", "")).startswith(comment):
            nft.run(f"delete rule {_THEIR_TABLE} {_THEIR_CHAIN} handle {rule['handle']}\n")
    for table in ("ip nat", "ip6 nat"):
        if (table, chain) not in present:
            continue
        rules = _rules(nft, present, table, "POSTROUTING")
        jumps = [rule["handle"] for rule in rules if {"jump": {"target": chain}} in rule["expr"]]
        deletions = "".join(f"delete rule {table} POSTROUTING handle {handle}\n" for handle in jumps)
        nft.run(f"{deletions}flush chain {table} {chain}\ndelete chain {table} {chain}\n")


def _rules(nft: Nft, present: frozenset[tuple[str, str]], table: str, chain: str) -> list[dict[str, Any]]:
    if (table, chain) not in present:
        return []
    listed = json.loads(nft.run(f"list chain {table} {chain}\n"))
    return [entry["rule"] for entry in listed["nftables"] if "rule" in entry]
