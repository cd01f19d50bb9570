"""Source NAT for traffic that leaves a pod's own subnet (``ipMasq``), for bridge and ptp.

One table of ours with two elements for each address: the address, and the address with its subnet, to which packets
go out unchanged. What the reference plugins made for a pod (a rule in their nftables table, or an iptables chain) is
found by its name and removed on DEL as well.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterable
from typing import Any

from cni_runtime.call import PluginCall
from cni_runtime.ip import ip_interface
from cni_runtime.net.libnftables import Nft, NftError
from cni_runtime.net.nft import Element, OwnedTable, Owner, Table
from cni_runtime.plugins.base import Context, network_of, owner_of, valid_attachments

log = logging.getLogger(__name__)

TABLE = Table(
    "cni_runtime_masquerade",
    """
    set pods4 { type ipv4_addr; }
    set pods6 { type ipv6_addr; }
    set local4 { type ipv4_addr . ipv4_addr; flags interval; }
    set local6 { type ipv6_addr . ipv6_addr; flags interval; }
    chain postrouting {
        type nat hook postrouting priority srcnat; policy accept;
        ip saddr . ip daddr @local4 return
        ip6 saddr . ip6 daddr @local6 return
        ip daddr 224.0.0.0/4 return
        ip6 daddr ff00::/8 return
        ip saddr @pods4 masquerade
        ip6 saddr @pods6 masquerade
    }
    """,
)

# Names of the reference plugins.
_THEIR_TABLE, _THEIR_CHAIN = "inet cni_plugins_masquerade", "masq_checks"


def masquerade_table(context: Context) -> OwnedTable:
    """The table, on this host."""
    return OwnedTable(TABLE, context.nft, context.state)


def masquerade_elements(addresses: Iterable[str]) -> tuple[Element, ...]:
    """The elements for a pod with these addresses, each in the form 10.1.2.3/24. Pure."""
    elements: list[Element] = []
    for interface in map(ip_interface, addresses):
        family = interface.version
        elements.append(Element(f"pods{family}", str(interface.ip)))
        elements.append(Element(f"local{family}", f"{interface.ip} . {interface.network}"))
    return tuple(elements)


def end_masquerade(call: PluginCall, context: Context) -> None:
    """Take away what ADD of this call made, be it ours or the reference plugins'. Blocks. NftError, OSError."""
    owner = owner_of(call)
    if not masquerade_table(context).drop(owner):
        _remove_theirs(context.nft, owner)


def collect_masquerade(call: PluginCall, context: Context) -> None:
    """GC: take away what belongs to none of the valid attachments. Blocks. Raises NftError, OSError."""
    masquerade_table(context).keep_only(network_of(call), valid_attachments(call))


def repair_masquerade(call: PluginCall, context: Context) -> None:
    """CHECK: make the table again if another program flushed it. Blocks. Raises NftError, OSError."""
    table, owner = masquerade_table(context), owner_of(call)
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


def _remove_theirs(nft: Nft, owner: Owner) -> None:
    comment, chain = reference_comment(owner), reference_chain(owner)
    for rule in _rules(nft, _THEIR_TABLE, _THEIR_CHAIN):
        if str(rule.get("comment", "")).startswith(comment):
            nft.run(f"delete rule {_THEIR_TABLE} {_THEIR_CHAIN} handle {rule['handle']}\n")
    for table in ("ip nat", "ip6 nat"):
        if not _exists(nft, table, chain):
            continue
        jumps = [rule for rule in _rules(nft, table, "POSTROUTING") if {"jump": {"target": chain}} in rule["expr"]]
        deletions = "".join(f"delete rule {table} POSTROUTING handle {rule['handle']}\n" for rule in jumps)
        nft.run(f"{deletions}flush chain {table} {chain}\ndelete chain {table} {chain}\n")


def _exists(nft: Nft, table: str, chain: str) -> bool:
    try:
        nft.run(f"list chain {table} {chain}\n")
    except NftError:
        return False
    return True


def _rules(nft: Nft, table: str, chain: str) -> list[dict[str, Any]]:
    try:
        listed = json.loads(nft.run(f"list chain {table} {chain}\n"))
    except NftError:
        return []
    return [entry["rule"] for entry in listed["nftables"] if "rule" in entry]
