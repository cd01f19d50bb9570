"""kill -9 while portmap takes away what the reference executable made; for its other steps see plugins/test_faults."""

from __future__ import annotations

import signal

import pytest

from cni_runtime.call import Verb
from cni_runtime.testing.host import Host
from tests.netns.plugins.chains import BRIDGE, Chain, needs_reference
from tests.netns.plugins.portmap.conftest import TABLE, port

pytestmark = pytest.mark.anyio

PORTMAP = {"type": "portmap", "runtimeConfig": {"portMappings": [port(8080), port(8080, "udp")]}}


def traces(host: Host) -> list[str]:
    return [rule for rule in host.rules() if TABLE in rule or "CNI-DN" in rule]


@needs_reference
async def test_killed_while_taking_away_what_the_executable_made(host_netns: Host) -> None:
    chain = Chain(host_netns, BRIDGE, PORTMAP)
    await chain.add(last="reference")
    assert chain.killed(Verb.DEL, "portmap.DEL.reference") == -signal.SIGKILL
    await chain.delete(only_last=True)
    assert traces(host_netns) == []
