"""kill -9 at every step of portmap: a DEL takes away what is left, and the next pod gets the ports."""

from __future__ import annotations

import signal

import pytest

from cni_runtime.call import Verb
from cni_runtime.testing.host import Host
from tests.netns.plugins.chains import BRIDGE, Chain, needs_reference
from tests.netns.plugins.portmap.conftest import TABLE, port

pytestmark = pytest.mark.anyio

PORTMAP = {"type": "portmap", "runtimeConfig": {"portMappings": [port(8080), port(8080, "udp")]}}
ADD = ("portmap.ADD.forward_ports", "nft.put", "portmap.ADD.forget_connections", "portmap.ADD.set_sysctls")
DEL = ("portmap.DEL.forward_ports", "nft.drop", "portmap.DEL.forget_connections")
STEPS = [*((Verb.ADD, fault) for fault in ADD), *((Verb.DEL, fault) for fault in DEL)]


def traces(host: Host) -> list[str]:
    return [rule for rule in host.rules() if TABLE in rule or "CNI-DN" in rule]


@pytest.mark.parametrize("neighbours", [0, 1])
@pytest.mark.parametrize(("verb", "fault"), STEPS, ids=[fault for _, fault in STEPS])
async def test_killed_at(host_netns: Host, verb: Verb, fault: str, neighbours: int) -> None:
    other = {**PORTMAP, "runtimeConfig": {"portMappings": [port(9090)]}}
    for number in range(neighbours):
        await Chain(host_netns, BRIDGE, other, pod=f"other{number}", container=f"other{number}").add()
    before = traces(host_netns)
    chain = Chain(host_netns, BRIDGE, PORTMAP)
    if verb is Verb.DEL:
        await chain.add()
    else:
        chain.result = await chain.call(Verb.ADD, chain.plugins[0])
    assert chain.killed(verb, fault) == -signal.SIGKILL
    await chain.delete(only_last=True)
    assert traces(host_netns) == before
    await Chain(host_netns, BRIDGE, PORTMAP, pod="next", container="next").add()


@needs_reference
async def test_killed_while_taking_away_what_the_executable_made(host_netns: Host) -> None:
    chain = Chain(host_netns, BRIDGE, PORTMAP)
    await chain.add(last="reference")
    assert chain.killed(Verb.DEL, "portmap.DEL.reference") == -signal.SIGKILL
    await chain.delete(only_last=True)
    assert traces(host_netns) == []
