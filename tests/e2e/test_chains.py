"""Real plugin chains, with both sets of executables: what the plugins made is what the status says."""

import json
from typing import Any

import pytest

from tests.lab.conflists import BANDWIDTH, FIREWALL, PORTMAP, TUNING, Plugin, PluginSet, bridge, conflist, ptp
from tests.lab.node import IPAM_DIR, Node

V4, V6 = "10.88.0.0/24", "fd00:88::/64"
BRIDGE, DUAL = bridge("cni0", V4), bridge("cni0", V4, V6)
CHAINS = {
    "bridge": (BRIDGE, PORTMAP),
    "bridge-everything": (BRIDGE, PORTMAP, FIREWALL, BANDWIDTH, TUNING),
    "bridge-dual-stack": (DUAL, PORTMAP, FIREWALL),
    "ptp": (ptp(V4), PORTMAP),
    "ptp-dual-stack": (ptp(V4, V6), PORTMAP),
}


def serve(node: Node, plugins: PluginSet, *chain: Plugin, **cni: Any) -> None:
    node.serve(conflist("pods", *chain, version=plugins.cni_version), bin_dirs=[plugins.directory], cni=cni)


@pytest.mark.parametrize("chain", CHAINS.values(), ids=CHAINS)
def test_two_pods_have_addresses_that_work(node: Node, plugins: PluginSet, chain: tuple[Plugin, ...]) -> None:
    serve(node, plugins, *chain)
    pods = node.run_pod("one"), node.run_pod("two")
    for pod, other in (pods, pods[::-1]):
        assert pod.addresses() == set(pod.ips)
        for address in pod.ips:
            assert node.host.can_reach(address)
            assert other.reaches(address)
            assert node.reservations()[address] == pod.id


@pytest.mark.parametrize("chain", [CHAINS["bridge"], CHAINS["ptp"]], ids=["bridge", "ptp"])
def test_the_reservation_is_where_host_local_keeps_it(
    node: Node, plugins: PluginSet, chain: tuple[Plugin, ...]
) -> None:
    serve(node, plugins, *chain)
    pod = node.run_pod("one")
    file = IPAM_DIR / "pods" / pod.ips[0]
    assert file.read_text().split() == [pod.id, "eth0"]
    node.cri.stop(pod.id)
    assert not file.exists()


@pytest.mark.parametrize(("preference", "first"), [("ipv4", "."), ("ipv6", ":"), ("cni", ".")])
def test_the_preferred_family_comes_first(node: Node, plugins: PluginSet, preference: str, first: str) -> None:
    serve(node, plugins, DUAL, ip_pref=preference)
    primary, additional = node.run_pod("dual").ips
    assert first in primary
    assert first not in additional


def test_bandwidth_is_limited_as_annotated(node: Node, plugins: PluginSet) -> None:
    serve(node, plugins, BRIDGE, BANDWIDTH)
    node.run_pod("slow", annotations={"kubernetes.io/ingress-bandwidth": "10M"})
    queues = json.loads(node.host.run("tc", "-json", "qdisc", "show"))
    (limit,) = [queue for queue in queues if queue["kind"] == "tbf"]
    assert limit["options"]["rate"] == 10_000_000 // 8


def test_tuning_reaches_the_pod(node: Node, plugins: PluginSet) -> None:
    serve(node, plugins, BRIDGE, TUNING)
    pod = node.run_pod("tuned")
    assert pod.run("cat", "/proc/sys/net/core/somaxconn").strip() == "500"
    assert node.host.ip("link", "show", "eth0", netns=pod.netns)[0]["mtu"] == 1400


def test_the_cni_result_is_in_the_verbose_status(node: Node, plugins: PluginSet) -> None:
    serve(node, plugins, *CHAINS["bridge"])
    pod = node.run_pod("one")
    assert pod.info["cniResult"]["Interfaces"]["eth0"]["IPConfigs"][0]["IP"] == pod.ips[0]


def test_a_pod_cut_from_its_gateway_is_noticed(node: Node, plugins: PluginSet) -> None:
    """The proof that the other tests' pings can fail."""
    serve(node, plugins, *CHAINS["bridge"])
    pod = node.run_pod("one")
    pod.run("ip", "link", "set", "eth0", "down")
    assert not node.host.can_reach(pod.ips[0])
