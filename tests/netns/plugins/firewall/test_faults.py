"""kill -9 at every step of firewall: a DEL takes away what is left, and the next ADD succeeds."""

from __future__ import annotations

import signal

import pytest

from cni_runtime.call import Verb
from cni_runtime.testing.host import Host
from tests.netns.plugins.chains import BRIDGE, Chain

pytestmark = pytest.mark.anyio

FIREWALL = {"type": "firewall", "ingressPolicy": "isolated"}
ADD = ("firewall.ADD.add_elements", "nft.put", "firewall.ADD.accept_in_iptables")
DEL = ("firewall.DEL.accept", "firewall.DEL.elements", "nft.drop")
STEPS = [*((Verb.ADD, fault) for fault in ADD), *((Verb.DEL, fault) for fault in DEL)]


def traces(host: Host) -> list[str]:
    return [rule for rule in host.rules() if "cni_runtime_firewall" in rule or "10.1.0.2" in rule]


@pytest.mark.parametrize(("verb", "fault"), STEPS, ids=[fault for _, fault in STEPS])
async def test_killed_at(host_netns: Host, verb: Verb, fault: str) -> None:
    host_netns.run("iptables", "-P", "FORWARD", "DROP")
    chain = Chain(host_netns, BRIDGE, FIREWALL)
    if verb is Verb.DEL:
        await chain.add()
    else:
        chain.result = await chain.call(Verb.ADD, chain.plugins[0])
    assert chain.killed(verb, fault) == -signal.SIGKILL
    await chain.delete(only_last=True)
    assert traces(host_netns) == []
    await chain.call(Verb.ADD, chain.plugins[-1])
    await chain.check()
