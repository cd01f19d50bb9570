"""GC removes what no valid attachment owns, and nothing else."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from cni_runtime.cache import DEFAULT_DIR
from cni_runtime.conf.parse import parse_network_list
from cni_runtime.conf.types import NetworkList
from cni_runtime.runtime import Attachment, CniRuntime
from cni_runtime.testing.host import Host
from tests.lab.conflists import FIREWALL, PORTMAP, PluginSet, bridge, conflist

pytestmark = pytest.mark.anyio

_RESULTS = DEFAULT_DIR / "results"
_Pods = Callable[[], Attachment]


@pytest.fixture
def network(plugins: PluginSet) -> NetworkList:
    chain = bridge("cni0", "10.88.0.0/24"), PORTMAP, FIREWALL
    return parse_network_list(json.dumps(conflist("net", *chain, version=plugins.cni_version)), "test")


def _reserved() -> set[str]:
    return {path.name for path in (DEFAULT_DIR / "networks" / "net").glob("10.*")}


async def test_the_attachment_that_nobody_owns_goes(
    runtime: CniRuntime, network: NetworkList, make_pod: _Pods, host_netns: Host
) -> None:
    kept, stale = make_pod(), make_pod()
    await runtime.add(network, kept)
    before = host_netns.leavings()
    await runtime.add(network, Attachment(container_id=stale.container_id, netns=stale.netns, ifname="eth0"))
    await runtime.gc(network, [(kept.container_id, kept.ifname)])
    assert host_netns.leavings() == before
    assert _reserved() == {"10.88.0.2"}
    assert host_netns.can_reach("10.88.0.2")
    assert host_netns.links(netns=Path(stale.netns or "")) == set()


async def test_an_empty_list_leaves_nothing(runtime: CniRuntime, network: NetworkList, make_pod: _Pods) -> None:
    for pod in (make_pod(), make_pod()):
        await runtime.add(network, Attachment(container_id=pod.container_id, netns=pod.netns, ifname="eth0"))
    await runtime.gc(network, [])
    assert (_reserved(), list(_RESULTS.iterdir())) == (set(), [])
