"""What the reference plugin makes for a container: found by its names and removed. Blocks for a moment.

With its iptables backend a chain CNI-DN-… in table nat, jumped to from CNI-HOSTPORT-DNAT (CNI-SN-… once came with it);
with its nftables backend rules in table cni_hostport that have the container's ID as their comment. The chains that
all containers share are left, as the reference plugin leaves them. Rules of the older kernel interface
(iptables-legacy) cannot be seen here.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator

from cni_runtime.net.codec import Request
from cni_runtime.net.netfilter import NetfilterSocket
from cni_runtime.net.nfrules import (
    FAMILIES,
    ChainName,
    Rule,
    chain_policy,
    chain_rules,
    delete_chain,
    delete_rule,
    flush_chain,
    jumps,
)

_IPTABLES = (("DN", "CNI-HOSTPORT-DNAT"), ("SN", "CNI-HOSTPORT-SNAT"))
_NFTABLES = ("hostports", "hostip_hostports", "masquerading")
_COMMENT = re.compile(r'dnat name: "(?P<network>.*)" id: "(?P<container>.*)"')


def chain_of(network: str, container_id: str, kind: str = "DN") -> str:
    """The name of a container's chain. Pure."""
    return f"CNI-{kind}-{hashlib.sha512((network + container_id).encode()).hexdigest()}"[:28]


def remove_reference(netfilter: NetfilterSocket, network: str, container_id: str) -> bool:
    """Remove what the reference plugin made for a container; whether that was anything. Raises OSError."""
    removed = False
    for family in FAMILIES:
        requests = [*_chain_removal(netfilter, family, network, container_id)]
        requests += _rule_removal(netfilter, family, container_id)
        if requests:
            netfilter.transact(requests)
            removed = True
    return removed


def has_reference(netfilter: NetfilterSocket, network: str, container_id: str) -> bool:
    """Whether the reference plugin has forwarded ports to a container. Raises OSError."""
    for family in FAMILIES:
        chain = ChainName(family, "nat", chain_of(network, container_id))
        if chain_policy(netfilter, chain) is not None and chain_rules(netfilter, chain):
            return True
        if any(_rules_of(netfilter, ChainName(family, "cni_hostport", name), container_id) for name in _NFTABLES):
            return True
    return False


def containers_in_iptables(netfilter: NetfilterSocket, network: str) -> set[str]:
    """The containers of a network that have a chain of the reference plugin. Raises OSError."""
    comments = (
        rule.comment
        for family in FAMILIES
        for rule in chain_rules(netfilter, ChainName(family, "nat", "CNI-HOSTPORT-DNAT"))
    )
    found = (_COMMENT.fullmatch(comment) for comment in comments)
    return {match["container"] for match in found if match and match["network"] == network}


def _chain_removal(netfilter: NetfilterSocket, family: str, network: str, container_id: str) -> Iterator[Request]:
    for kind, entry in _IPTABLES:
        chain = ChainName(family, "nat", chain_of(network, container_id, kind))
        if chain_policy(netfilter, chain) is None:
            continue
        shared = ChainName(family, "nat", entry)
        yield from (delete_rule(shared, rule) for rule in jumps(netfilter, shared, chain.chain))
        yield flush_chain(chain)
        yield delete_chain(chain)


def _rule_removal(netfilter: NetfilterSocket, family: str, container_id: str) -> list[Request]:
    chains = (ChainName(family, "cni_hostport", name) for name in _NFTABLES)
    return [delete_rule(chain, rule) for chain in chains for rule in _rules_of(netfilter, chain, container_id)]


def _rules_of(netfilter: NetfilterSocket, chain: ChainName, container_id: str) -> list[Rule]:
    found = chain_rules(netfilter, chain, containing=container_id.encode())
    return [rule for rule in found if rule.comment == container_id]
