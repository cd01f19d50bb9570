"""Whether the host lets packets through at all that it forwards for pods, as far as iptables decides it.

A rule of ours that accepts a packet cannot save it from another table, so where iptables drops by policy this has to
be said. In doubt nothing is said: rules that accept by address or mark may well mean the pods.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from cni_runtime.net import sysctl
from cni_runtime.net.netfilter import Netfilter, NetfilterSocket
from cni_runtime.net.nfrules import FAMILIES, ChainName, Expression, Rule, Verdict, chain_policy, chain_rules

_INTERFACE_KEYS = frozenset((4, 5, 6, 7))  # index and name of the incoming and outgoing interface
_ANSWERS_ONLY = ("conntrack", "state", "physdev")


def forward_policy_problem(netfilter: Netfilter) -> str:
    """A sentence that says which families' forwarded packets iptables drops; empty when there is none. OSError."""
    with netfilter.open() as socket:
        dropped = [family for family in FAMILIES if _is_used(family) and _drops(socket, family)]
    if not dropped:
        return ""
    tools = " and ".join("iptables" if family == "ip" else "ip6tables" for family in dropped)
    return (
        f"the policy of chain FORWARD of {tools} is drop and no rule there accepts pods: ports of the host lead "
        "nowhere from outside, and pods reach nothing outside; set the policy to accept, or accept the pods' subnet"
    )


def lets_pods_through(rules: Iterable[Rule], chain: Callable[[str], Iterable[Rule]]) -> bool:
    """Whether ``rules``, or a chain they jump to, accept first packets by something else than an interface. Pure."""
    for rule in rules:
        if _is_about_others(rule):
            continue
        if rule.verdict is Verdict.ACCEPT:
            return True
        # CNI-FORWARD holds rules for single pods, and only for what these begin themselves.
        if rule.target not in ("", "CNI-FORWARD") and lets_pods_through(chain(rule.target), chain):
            return True
    return False


def _is_used(family: str) -> bool:
    """IPv6 is not, unless somebody has turned forwarding on, as the first pod that has an IPv6 address does."""
    try:
        return family == "ip" or sysctl.read("net/ipv6/conf/all/forwarding") != "0"
    except FileNotFoundError:
        return False


def _drops(netfilter: NetfilterSocket, family: str) -> bool:
    if chain_policy(netfilter, ChainName(family, "filter", "FORWARD")) is not Verdict.DROP:
        return False

    def chain(name: str) -> tuple[Rule, ...]:
        return chain_rules(netfilter, ChainName(family, "filter", name))

    return not lets_pods_through(chain("FORWARD"), chain)


def _is_about_others(rule: Rule) -> bool:
    return any(map(_names_interface, rule.expressions)) or any(map(rule.matches, _ANSWERS_ONLY))


def _names_interface(step: Expression) -> bool:
    return step.kind == "meta" and int.from_bytes(step.get(2), "big") in _INTERFACE_KEYS
