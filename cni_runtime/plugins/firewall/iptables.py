"""Rules in iptables' own chains: what begins at a pod is accepted, and what answers it. Blocks for a moment.

A packet that another table accepts is still dropped where iptables' policy says so. So, where iptables is in use, the
rules that the reference plugin would make are put into its table as well, by netlink: chain CNI-FORWARD, jumped to
from FORWARD, with two rules for each address, after a jump to the administrator's chain. Each of the two plugins can
therefore delete the other's. A host without these tables gets none.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from ipaddress import ip_address

from cni_runtime.net.codec import Request
from cni_runtime.net.netfilter import NetfilterSocket
from cni_runtime.net.nfrules import (
    ChainName,
    Expression,
    Rule,
    Verdict,
    chain_policy,
    chain_rules,
    comparison,
    delete_rule,
    extension,
    jumps,
    new_chain,
    new_rule,
    verdict,
)

_PODS_CHAIN = "CNI-FORWARD"
_COMMENT_SIZE = 256
# struct xt_conntrack_mtinfo3: addresses and times, then what to match (1: states), what to invert, and which states.
_CONNTRACK, _REVISION, _SIZE = struct.Struct("=146xHHH"), 3, 168
_MATCH_STATES, _ESTABLISHED_OR_RELATED = 1, 0b110

Steps = tuple[Expression, ...]


def accept_in_iptables(netfilter: NetfilterSocket, addresses: Iterable[str], admin_chain: str) -> bool:
    """Make the rules that are missing for these addresses; whether any was. Raises OSError."""
    made = False
    for family, own in _by_family(addresses).items():
        if chain_policy(netfilter, ChainName(family, "filter", "FORWARD")) is None:
            continue
        requests = [*_shared(netfilter, family, admin_chain)]
        pods = ChainName(family, "filter", _PODS_CHAIN)
        for address in own:
            present = {rule.expressions for rule in _rules_about(netfilter, pods, address)}
            requests += [new_rule(pods, steps) for steps in rules_for(address) if steps not in present]
        if requests:
            netfilter.transact(requests)
            made = True
    return made


def remove_from_iptables(netfilter: NetfilterSocket, addresses: Iterable[str]) -> None:
    """Take the rules for these addresses away; what containers share stays. Raises OSError."""
    for family, own in _by_family(addresses).items():
        pods = ChainName(family, "filter", _PODS_CHAIN)
        found = [rule for address in own for rule in _rules_about(netfilter, pods, address)]
        if found:
            netfilter.transact([delete_rule(pods, rule) for rule in found])


def is_accepted(netfilter: NetfilterSocket, address: str) -> bool:
    """Whether iptables has the rules for an address. Raises OSError."""
    (family,) = _by_family((address,))
    found = _rules_about(netfilter, ChainName(family, "filter", _PODS_CHAIN), address)
    return {rule.expressions for rule in found} == set(rules_for(address))


def rules_for(address: str) -> tuple[Steps, Steps]:
    """The two rules for an address. Pure."""
    packed = ip_address(address).packed
    source, destination = (12, 16) if len(packed) == 4 else (8, 24)
    information = _CONNTRACK.pack(_MATCH_STATES, 0, _ESTABLISHED_OR_RELATED).ljust(_SIZE, b"\0")
    answers = extension("conntrack", _REVISION, information)
    accept = verdict(Verdict.ACCEPT)
    return (*comparison(destination, packed), answers, accept), (*comparison(source, packed), accept)


def _shared(netfilter: NetfilterSocket, family: str, admin_chain: str) -> Iterator[Request]:
    """What is missing of the chains and jumps that all pods share."""
    forward, pods, admin = (ChainName(family, "filter", name) for name in ("FORWARD", _PODS_CHAIN, admin_chain))
    for chain in (pods, admin):
        if chain_policy(netfilter, chain) is None:
            yield new_chain(chain)
    wanted = (
        (forward, pods.chain, "CNI firewall plugin rules"),
        (pods, admin.chain, "CNI firewall plugin admin overrides"),
    )
    for chain, target, comment in wanted:
        # A jump of an administrator's own may have conditions, or come after a rule that drops.
        if not any(rule.comment == comment for rule in jumps(netfilter, chain, target)):
            yield new_rule(chain, _jump(target, comment), first=True)


def _rules_about(netfilter: NetfilterSocket, chain: ChainName, address: str) -> list[Rule]:
    """Those of the two rules for an address that are there."""
    wanted = rules_for(address)
    found = chain_rules(netfilter, chain, containing=ip_address(address).packed)
    return [rule for rule in found if rule.expressions in wanted]


def _jump(target: str, comment: str) -> Steps:
    named = extension("comment", 0, comment.encode().ljust(_COMMENT_SIZE, b"\0"))
    return named, verdict(Verdict.JUMP, target)


def _by_family(addresses: Iterable[str]) -> dict[str, list[str]]:
    families: dict[str, list[str]] = {}
    for address in addresses:
        families.setdefault("ip" if ip_address(address).version == 4 else "ip6", []).append(address)
    return families
