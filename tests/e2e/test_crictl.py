"""What people and probes do first: crictl and grpcurl against the running server."""

import json
from pathlib import Path

import pytest

from tests.lab.conflists import PORTMAP, bridge, conflist
from tests.lab.cri import pod_config
from tests.lab.daemon import PEER
from tests.lab.node import Node

NETWORK = conflist("pods", bridge("cni0", "10.88.0.0/24"), PORTMAP)


@pytest.fixture
def pod_json(tmp_path: Path) -> Path:
    path = tmp_path / "pod.json"
    path.write_text(json.dumps(pod_config("web", labels={"app": "web"}, annotations={"note": "\u00fc {}"})))
    return path


def test_the_life_of_a_pod(node: Node, pod_json: Path) -> None:
    node.serve(NETWORK)
    pod = node.crictl("runp", pod_json).strip()
    (listed,) = node.crictl_json("pods", "--state", "Ready", "--label", "app=web")["items"]
    assert (listed["id"], listed["metadata"]["name"]) == (pod, "web")
    status = node.crictl_json("inspectp", pod)["status"]
    assert status["network"]["ip"] == "10.88.0.2"
    assert (status["labels"], status["annotations"]) == ({"app": "web"}, {"note": "\u00fc {}"})
    node.crictl("stopp", pod)
    assert node.crictl_json("pods")["items"][0]["state"] == "SANDBOX_NOTREADY"
    node.crictl("rmp", pod)
    assert node.crictl_json("pods")["items"] == []


def test_the_verbose_status_has_what_containerds_users_look_for(node: Node, pod_json: Path) -> None:
    node.serve(NETWORK)
    info = node.crictl_json("inspectp", node.crictl("runp", pod_json).strip())["info"]
    spaces = {space["type"]: space.get("path") for space in info["runtimeSpec"]["linux"]["namespaces"]}
    assert Path(spaces["network"]).resolve().parent == Path("/run/netns")
    assert info["config"]["metadata"]["name"] == "web"
    assert info["runtimeHandler"] == ""
    assert "eth0" in info["cniResult"]["Interfaces"]


def test_stop_and_remove_may_be_repeated(node: Node) -> None:
    node.serve(NETWORK)
    pod = node.run_pod("twice").id
    for pod_id in (pod, pod, "unknown"):
        node.cri.stop(pod_id)
    for pod_id in (pod, pod, "unknown"):
        node.cri.remove(pod_id)


@pytest.mark.skipif(PEER, reason="containerd refuses a name that is taken")
def test_the_same_attempt_is_the_same_sandbox(node: Node) -> None:
    node.serve(NETWORK)
    assert node.run_pod("once").id == node.run_pod("once").id
    assert node.run_pod("once").id != node.run_pod("other").id


def test_crictl_shows_a_ready_node(node: Node) -> None:
    node.serve(NETWORK)
    conditions = {each["type"]: each["status"] for each in node.crictl_json("info")["status"]["conditions"]}
    assert conditions["RuntimeReady"]
    assert conditions["NetworkReady"]


def test_a_node_without_a_network_says_so_until_it_has_one(node: Node) -> None:
    node.serve()
    assert not node.cri.node_conditions()["NetworkReady"]


@pytest.mark.skipif(PEER, reason="containerd has no reflection")
def test_grpcurl_lists_the_services(node: Node) -> None:
    node.serve()
    services = set(node.grpcurl("list").split())
    assert {"runtime.v1.RuntimeService", "grpc.health.v1.Health"} <= services


@pytest.mark.skipif(PEER, reason="containerd has no reflection")
def test_grpcurl_calls_by_reflection(node: Node) -> None:
    node.serve()
    answer = json.loads(node.grpcurl("runtime.v1.RuntimeService/Version"))
    assert {"crishim", "v1"} <= set(answer.values())
