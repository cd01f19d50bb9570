"""flannel on a real kernel: two nodes whose pods reach each other, and the reference executable (0.9.1)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cni_runtime.call import Verb
from cni_runtime.errors import PluginError
from cni_runtime.testing.host import Host
from tests.netns.plugins.chains import Chain, either_way, needs_reference
from tests.netns.plugins.differential import unmeant
from tests.netns.plugins.traffic import ask, serving

pytestmark = pytest.mark.anyio

NETWORKS = "FLANNEL_NETWORK=10.244.0.0/16\nFLANNEL_IPV6_NETWORK=fd00:244::/48\n"
REST = "FLANNEL_MTU=1450\nFLANNEL_IPMASQ=false\n"
DELEGATE = {"hairpinMode": True, "isDefaultGateway": True}
FLANNEL: dict[str, Any] = {"type": "flannel", "delegate": DELEGATE}
SAVED = Path("/var/lib/cni/flannel/c")
SUBNET_FILE = Path("/run/flannel/subnet.env")


def subnet(number: int) -> str:
    """What flanneld says on the node of that number."""
    own = f"FLANNEL_SUBNET=10.244.{number}.1/24\nFLANNEL_IPV6_SUBNET=fd00:244:0:{number}::1/64\n"
    return NETWORKS + own + REST


@pytest.fixture
def host(host_netns: Host) -> Host:
    """A node that has its subnet."""
    SUBNET_FILE.parent.mkdir()
    SUBNET_FILE.write_text(subnet(1))
    return host_netns


def left() -> set[str]:
    """What is kept for the pod: its saved configuration, its addresses."""
    files = [*SAVED.parent.glob("*"), *Path("/var/lib/cni/networks/net").glob("*[.:]*[0-9]")]
    return {path.name for path in files if "last" not in path.name}


def stop_flanneld() -> None:
    SUBNET_FILE.unlink()


async def test_what_a_pod_gets(host: Host) -> None:
    chain = Chain(host, FLANNEL)
    added = await chain.add()
    assert [ip["address"] for ip in added["ips"]] == ["10.244.1.2/24", "fd00:244:0:1::2/64"]
    assert chain.inside()["mtu"] == 1450
    routes = {route["dst"]: route.get("gateway") for route in host.ip("route", netns=chain.netns)}
    assert routes == {"default": "10.244.1.1", "10.244.0.0/16": "10.244.1.1", "10.244.1.0/24": None}
    assert host.can_reach("10.244.1.1", netns=chain.netns)
    await chain.check()
    await chain.delete()
    await chain.delete()
    await chain.builtin.aclose()
    assert (left(), host.links()) == (set(), {"cni0"})


async def test_status_tells_whether_flanneld_has_come_up(host: Host) -> None:
    chain = Chain(host, FLANNEL, version="1.1.0")
    await chain.call(Verb.STATUS, chain.plugins[0])
    stop_flanneld()
    for verb in (Verb.STATUS, Verb.ADD):
        with pytest.raises(PluginError, match="flanneld has not got a subnet for this node yet"):
            await chain.call(verb, chain.plugins[0])


async def test_del_with_flanneld_and_namespace_gone(host: Host) -> None:
    chain = Chain(host, FLANNEL)
    await chain.add()
    stop_flanneld()
    chain.drop_netns()
    await chain.delete()
    assert left() == set()


async def test_gc_takes_what_no_attachment_has(host: Host) -> None:
    chain = Chain(host, FLANNEL, version="1.1.0")
    await chain.add()
    await chain.call(Verb.GC, {**chain.plugins[0], "cni.dev/valid-attachments": []})
    assert left() == set()


async def test_a_failure_leaves_nothing(host: Host) -> None:
    chain = Chain(host, {**FLANNEL, "delegate": {"bridge": "lo"}})
    with pytest.raises(PluginError, match="lo is there already, but is not a bridge"):
        await chain.add()
    assert left() == set()


class Node:
    """A node of its own: a namespace in the machine's ``lan``, with one pod and routes to the other node's pods."""

    def __init__(self, host: Host, number: int, other: int, directory: Path) -> None:
        self.host, self.number = host, number
        self.netns = host.add_netns(f"node{number}")
        port = f"n{number}"
        host.run("ip", "link", "add", port, "type", "veth", "peer", "name", "up", "netns", f"node{number}")
        host.run("ip", "link", "set", port, "master", "lan", "up")
        for command in (
            "link set lo up",
            "link set dev up up",
            f"addr add 192.168.9.{number}/24 dev up",
            f"addr add fd00:9::{number}/64 dev up nodad",
            f"route add 10.244.{other}.0/24 via 192.168.9.{other}",
            f"route add fd00:244:0:{other}::/64 via fd00:9::{other}",
        ):
            host.run("ip", *command.split(), netns=self.netns)
        subnet_file = directory / f"subnet{number}.env"
        subnet_file.write_text(subnet(number).replace("IPMASQ=false", "IPMASQ=true"))
        config = {**FLANNEL, "subnetFile": str(subnet_file), "dataDir": str(directory / f"data{number}")}
        self.pod = Chain(host, config, pod=f"pod{number}", container=f"pod{number}")
        self.addresses = [ip["address"].partition("/")[0] for ip in self.pod.on_node(Verb.ADD, self.netns)["ips"]]


async def test_pods_on_two_nodes_reach_each_other(host_netns: Host, tmp_path: Path) -> None:
    host_netns.run("ip", "link", "add", "lan", "type", "bridge")
    host_netns.run("ip", "link", "set", "lan", "up")
    nodes = [Node(host_netns, 1, 2, tmp_path), Node(host_netns, 2, 1, tmp_path)]
    for asking, asked in (nodes, reversed(nodes)):
        with serving("pod", asked.pod.netns):
            for position, address in enumerate(asked.addresses):
                assert host_netns.can_reach(address, netns=asking.pod.netns)
                # The answer tells whom the server saw: the pod itself, not its node.
                assert ask("tcp", address, 80, asking.pod.netns) == f"pod {asking.addresses[position]}"


@needs_reference
@either_way
async def test_across(host: Host, adder: str, deleter: str) -> None:
    chain = Chain(host, FLANNEL, version="0.4.0")
    await chain.add(adder)
    assert host.can_reach("10.244.1.1", netns=chain.netns)
    await chain.check(deleter)
    await chain.delete(deleter)
    assert left() == set()


@needs_reference
@pytest.mark.parametrize("delegate", [{}, {**DELEGATE, "mtu": 1400, "bridge": "br0"}])
def test_same_state_as_the_reference(tmp_path: Path, delegate: dict[str, Any]) -> None:
    path = tmp_path / "subnet.env"
    path.write_text(subnet(1))
    bridge = {"bridge": "br0", **delegate}
    config = {"cniVersion": "0.4.0", "name": "net", **FLANNEL, "subnetFile": str(path), "delegate": bridge}
    assert unmeant([config]) == []
