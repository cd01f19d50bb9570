"""The commands that a person runs."""

import json
import subprocess
import sys
from pathlib import Path

from cni_runtime.testing.host import Host
from tests.lab.conflists import PORTMAP, bridge, conflist
from tests.lab.node import Node

CRISHIM = Path(sys.executable).with_name("crishim")
NETWORK = conflist("pods", bridge("cni0", "10.88.0.0/24"), PORTMAP)


def test_explain_tells_how_a_pod_got_its_address(node: Node) -> None:
    node.serve(NETWORK)
    pod = node.run_pod("web")
    facts = json.loads(node.host.run(CRISHIM, "explain", "web", "--json", "--address", node.daemon.socket))
    assert (facts["sandbox"], facts["ips"]) == (pod.id, pod.ips)
    eth0 = next(interface for interface in facts["interfaces"] if interface["name"] == "eth0")
    assert [step["plugin"] for step in eth0["steps"]] == ["bridge", "portmap"]
    assert eth0["host_veth"] in node.host.links()
    assert eth0["ipam_files"] == [f"/var/lib/cni/networks/pods/{pod.ips[0]}"]


def test_explain_draws_a_picture(node: Node) -> None:
    node.serve(NETWORK)
    (address,) = node.run_pod("web").ips
    picture = node.host.run(CRISHIM, "explain", "web", "--address", node.daemon.socket)
    assert address in picture
    assert "bridge" in picture


def test_a_second_server_on_the_socket_is_refused(node: Node) -> None:
    node.serve(NETWORK)
    places = ("--root", node.home / "other", "--state", node.home / "other")
    second = subprocess.run(
        [CRISHIM, "serve", "--address", node.daemon.socket, *places], capture_output=True, text=True, check=False
    )
    assert second.returncode == 1
    assert str(node.daemon.socket) in second.stderr
    assert node.cri.node_conditions()["RuntimeReady"]


def test_the_socket_is_for_root_and_its_group(node: Node) -> None:
    node.serve(NETWORK)
    assert node.daemon.socket.stat().st_mode & 0o777 == 0o660


def test_quickstart_works_and_leaves_nothing() -> None:
    host = Host()
    before = host.leavings()
    said = host.run(sys.executable, "-m", "hack.tour")  # what hack/quickstart runs when everything is installed
    assert "10.200.0.2" in said
    assert "no network namespace" in said
    left = host.leavings()
    assert not Path("/var/lib/cni").exists()
    assert (left.links, left.rules, left.processes) == (before.links, before.rules, before.processes)
