"""What a pod may ask of its network, beyond an address."""

from pathlib import Path

import pytest

from tests.lab.conflists import FIREWALL, PORTMAP, PluginSet, bridge, conflist
from tests.lab.node import Node, eventually

NETWORK = conflist("pods", bridge("cni0", "10.88.0.0/24"), PORTMAP)
SECOND = conflist("storage", bridge("cni1", "10.89.0.0/24"))
TEMPLATE = """
{"cniVersion": "1.0.0", "name": "templated", "plugins": [
  {"type": "bridge", "bridge": "cni0", "isGateway": true, "ipam": {
    "type": "host-local",
    "ranges": [{{range $i, $range := .PodCIDRRanges}}{{if $i}}, {{end}}[{"subnet": "{{$range}}"}]{{end}}],
    "routes": [{{range $i, $route := .Routes}}{{if $i}}, {{end}}{"dst": "{{$route}}"}{{end}}]
  }}
]}
"""


@pytest.mark.parametrize("address", ["10.88.0.1", "127.0.0.1", "192.0.2.1"])
def test_a_host_port_leads_to_the_pod(node: Node, plugins: PluginSet, address: str) -> None:
    node.host.run("ip", "address", "add", "192.0.2.1/24", "dev", "lo")
    version = plugins.cni_version
    node.serve(conflist("pods", *NETWORK["plugins"], version=version), bin_dirs=[plugins.directory])
    pod = node.run_pod("web", port_mappings=[{"protocol": 0, "container_port": 8080, "host_port": 18080}])
    with pod.echoing(8080):
        assert node.say(address, 18080) == "hello"
    node.cri.stop(pod.id)
    with pytest.raises(ConnectionRefusedError):
        node.say(address, 18080)


def test_what_another_program_flushes_comes_back_for_pods_that_run(node: Node) -> None:
    node.serve(conflist("pods", *NETWORK["plugins"], FIREWALL), own={"plugins": "builtin"})
    pod = node.run_pod("web", port_mappings=[{"protocol": 0, "container_port": 8080, "host_port": 18080}])
    before = node.host.rules()
    node.host.run("nft", "flush", "ruleset")
    assert eventually(lambda: node.host.rules() == before)
    with pod.echoing(8080):
        assert node.say("10.88.0.1", 18080) == "hello"


def test_two_networks_are_two_interfaces(node: Node) -> None:
    node.serve(NETWORK, SECOND, cni={"max_conf_num": 2})
    pod = node.run_pod("two")
    assert pod.addresses("eth0") == {"10.88.0.2"}
    assert pod.addresses("eth1") == {"10.89.0.2"}
    assert pod.ips == ["10.88.0.2"]
    assert node.reservations() == {"10.88.0.2": pod.id, "10.89.0.2": pod.id}


def test_only_the_first_network_counts_by_default(node: Node) -> None:
    node.serve(NETWORK, SECOND)
    assert node.host.links(netns=node.run_pod("one").netns) == {"eth0"}


def test_a_pod_on_the_nodes_network_has_none_of_its_own(node: Node) -> None:
    node.serve(NETWORK)
    pod = node.run_pod("host", host_network=True)
    assert pod.status.network.ip == ""
    assert node.reservations() == {}
    assert not list(Path("/run/netns").glob("*"))


def test_a_pod_cidr_becomes_a_network(node: Node, tmp_path: Path) -> None:
    template = tmp_path / "template"
    template.write_text(TEMPLATE)
    node.serve(cni={"conf_template": str(template)})
    assert not node.cri.node_conditions()["NetworkReady"]
    node.cri.set_pod_cidr("10.99.7.0/24,fd00:99:7::/64")
    assert eventually(lambda: node.cri.node_conditions()["NetworkReady"])
    assert node.run_pod("one").ips == ["10.99.7.2", "fd00:99:7::2"]


def test_a_network_that_is_added_later_is_used(node: Node) -> None:
    node.serve()
    assert not node.cri.node_conditions()["NetworkReady"]
    node.configure(NETWORK)
    assert eventually(lambda: node.cri.node_conditions()["NetworkReady"])
    assert node.run_pod("late").ips == ["10.88.0.2"]
