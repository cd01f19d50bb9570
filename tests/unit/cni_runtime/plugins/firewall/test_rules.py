from __future__ import annotations

import struct

import pytest

from cni_runtime.net.nfrules import Expression, Rule, Verdict, extension, verdict
from cni_runtime.net.nft import Holding, Owner
from cni_runtime.plugins.firewall.iptables import rules_for
from cni_runtime.plugins.firewall.table import addresses_in, elements
from cni_runtime.plugins.forwarding import lets_pods_through

ACCEPT = verdict(Verdict.ACCEPT)
FROM_INTERFACE = Expression("meta", ((1, struct.pack(">I", 1)), (2, struct.pack(">I", 6))))
MARKED = Expression("meta", ((1, struct.pack(">I", 1)), (2, struct.pack(">I", 3))))
ANSWERS = extension("conntrack", 3, b"")


def test_a_pod_has_its_addresses() -> None:
    own = elements(("10.1.0.2", "fd00::2"))
    assert [(one.set, one.key) for one in own] == [("pods4", "10.1.0.2"), ("pods6", "fd00::2")]
    assert addresses_in(Holding(Owner("net", "c", "eth0"), own)) == ("10.1.0.2", "fd00::2")


@pytest.mark.parametrize(
    ("isolated", "sets"), [(False, ["closed", "within"]), (True, ["closed", "within", "isolated"])]
)
def test_a_closed_bridge_is_shared_by_its_pods(isolated: bool, sets: list[str]) -> None:
    own = elements((), "cni0", isolated=isolated)
    assert [one.set for one in own] == sets
    assert all(one.shared for one in own)


@pytest.mark.parametrize(
    ("address", "offsets", "packed"),
    [("10.1.0.2", (16, 12), bytes((10, 1, 0, 2))), ("fd00::2", (24, 8), b"\xfd" + bytes(14) + b"\x02")],
)
def test_answers_are_let_in_and_everything_out(address: str, offsets: tuple[int, int], packed: bytes) -> None:
    answers, everything = rules_for(address)
    loads = [struct.unpack(">I", rule[0].get(3))[0] for rule in (answers, everything)]
    assert tuple(loads) == offsets
    assert all(packed in rule[1].get(3) for rule in (answers, everything))
    assert [step.kind for step in answers] == ["payload", "cmp", "match", "immediate"]
    assert len(answers[2].get(3)) == 168
    assert everything[-1] == ACCEPT


@pytest.mark.parametrize(
    ("steps", "accepted"),
    [
        ((), False),
        ((ACCEPT,), True),
        ((MARKED, ACCEPT), True),
        ((FROM_INTERFACE, ACCEPT), False),
        ((ANSWERS, ACCEPT), False),
        ((verdict(Verdict.DROP),), False),
        ((verdict(Verdict.JUMP, "OPEN"),), True),
        ((verdict(Verdict.GOTO, "OPEN"),), True),
        ((verdict(Verdict.JUMP, "EMPTY"),), False),
        ((FROM_INTERFACE, verdict(Verdict.JUMP, "OPEN")), False),
        ((verdict(Verdict.JUMP, "CNI-FORWARD"),), False),
    ],
)
def test_which_rules_let_pods_through(steps: tuple[Expression, ...], accepted: bool) -> None:
    chains = {"OPEN": (Rule(2, (ACCEPT,)),), "CNI-FORWARD": (Rule(3, (ACCEPT,)),)}
    assert lets_pods_through((Rule(1, steps),), lambda name: chains.get(name, ())) is accepted
