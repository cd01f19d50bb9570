"""Chains of the reference plugins: the pod has its address, and after DEL the host is as it was."""

import json
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import pytest

from cni_runtime.cache import DEFAULT_DIR
from cni_runtime.conf.parse import parse_network_list
from cni_runtime.conf.types import NetworkList
from cni_runtime.errors import PluginError
from cni_runtime.runtime import Attachment, CniRuntime
from cni_runtime.testing.host import Host
from tests.lab.conflists import BANDWIDTH, DEBIAN, FIREWALL, PORTMAP, TUNING, Plugin, PluginSet, bridge, conflist, ptp

pytestmark = pytest.mark.anyio

_V4, _V6 = "10.88.0.0/24", "fd00:88::/64"
_CHAINS: dict[str, list[Plugin]] = {
    "bridge": [bridge("cni0", _V4), PORTMAP],
    "bridge-full": [bridge("cni0", _V4), PORTMAP, FIREWALL, BANDWIDTH, TUNING],
    "bridge-dual": [bridge("cni0", _V4, _V6), PORTMAP, FIREWALL],
    "ptp": [ptp(_V4), PORTMAP],
    "ptp-dual": [ptp(_V4, _V6), TUNING],
}
_Pods = Callable[[], Attachment]


@pytest.fixture(params=_CHAINS)
def network(request: pytest.FixtureRequest, plugins: PluginSet) -> NetworkList:
    name: str = request.param
    return parse_network_list(json.dumps(conflist(name, *_CHAINS[name], version=plugins.cni_version)), "test")


def _reservations(network: NetworkList) -> dict[str, list[str]]:
    """What host-local has written down: address → container and interface."""
    files = (DEFAULT_DIR / "networks" / network.name).iterdir()
    return {path.name: path.read_text().split() for path in files if path.name[0].isdigit() or ":" in path.name}


def _check_verdict(network: NetworkList) -> AbstractContextManager[object]:
    """What CHECK should say. Debian's portmap (1.1.1) looks for the rules of IPv4 in ip6tables too, and misses them."""
    old_portmap = network.cni_version == DEBIAN.cni_version and any(
        plugin.type == "portmap" for plugin in network.plugins
    )
    return pytest.raises(PluginError, match=r"portmap CHECK .* ipv6 dnat") if old_portmap else nullcontext()


async def test_the_pod_has_its_address_and_afterwards_nothing_is_left(
    runtime: CniRuntime, network: NetworkList, make_pod: _Pods, host_netns: Host
) -> None:
    pod = make_pod()
    netns = Path(pod.netns or "")
    # The first attachment makes what all share: the bridge, the tables and chains. The second must leave just that.
    for _ in range(2):
        before = host_netns.leavings()
        added = await runtime.add(network, pod)
        addresses = {ip.address for ip in added.result.ips}
        assert host_netns.addresses("eth0", netns=netns) == addresses
        plain = [address.partition("/")[0] for address in addresses]
        assert all(host_netns.can_reach(address) for address in plain)
        assert _reservations(network) == {address: [pod.container_id, "eth0"] for address in plain}
        with _check_verdict(network):
            await runtime.check(network, pod)
        await runtime.delete(network, pod)
        await runtime.delete(network, pod)
    assert host_netns.leavings() == before
    assert _reservations(network) == {}
    assert host_netns.links() <= {"cni0"}
    assert host_netns.links(netns=netns) == set()


async def test_what_the_first_attachment_leaves_belongs_to_no_pod(
    runtime: CniRuntime, network: NetworkList, make_pod: _Pods, host_netns: Host
) -> None:
    pod = make_pod()
    added = await runtime.add(network, pod)
    await runtime.delete(network, pod)
    words = [pod.container_id, "8080", *(ip.address.partition("/")[0] for ip in added.result.ips)]
    left = host_netns.leavings()
    assert not [rule for rule in left.rules for word in words if f'"{word}' in rule]
    assert not [file for file in left.files if file.startswith(str(DEFAULT_DIR / "results"))]


@pytest.mark.parametrize("network", ["bridge-full", "ptp"], indirect=True)
async def test_two_pods_reach_each_other_and_go_one_by_one(
    runtime: CniRuntime, network: NetworkList, make_pod: _Pods, host_netns: Host
) -> None:
    first, second = make_pod(), make_pod()
    second = Attachment(container_id=second.container_id, netns=second.netns, ifname="eth0")
    await runtime.add(network, first)
    added = await runtime.add(network, second)
    target = added.result.ips[0].address.partition("/")[0]
    host_netns.run("sysctl", "-qw", "net.ipv4.ip_forward=1")
    assert host_netns.can_reach(target, netns=Path(first.netns or ""))
    await runtime.delete(network, first)
    assert host_netns.can_reach(target)
    await runtime.delete(network, second)


@pytest.mark.parametrize("network", ["bridge-full", "ptp"], indirect=True)
async def test_delete_does_without_the_namespace(
    runtime: CniRuntime, network: NetworkList, make_pod: _Pods, host_netns: Host
) -> None:
    pod = make_pod()
    await runtime.add(network, pod)
    host_netns.run("ip", "netns", "delete", pod.container_id)
    await runtime.delete(network, Attachment(container_id=pod.container_id, netns=None, ifname="eth0"))
    assert _reservations(network) == {}


@pytest.mark.parametrize("network", ["bridge-full", "ptp"], indirect=True)
async def test_check_finds_an_address_that_was_taken_away(
    runtime: CniRuntime, network: NetworkList, make_pod: _Pods, host_netns: Host
) -> None:
    pod = make_pod()
    await runtime.add(network, pod)
    host_netns.run("ip", "addr", "flush", "dev", "eth0", "scope", "global", netns=Path(pod.netns or ""))
    with pytest.raises(PluginError, match="CHECK"):
        await runtime.check(network, pod)
