"""The server is killed at every fault point of run, stop and remove: nothing may be lost and nothing may leak."""

import json
import signal

import grpc
import pytest

from crishim.core.faultpoints import FaultPoint
from crishim.rpc.pb import api_pb2 as pb
from tests.lab.conflists import FIREWALL, PORTMAP, bridge, conflist
from tests.lab.cri import pod_config
from tests.lab.node import Node, Pod

NETWORK = conflist("pods", bridge("cni0", "10.88.0.0/24"), PORTMAP, FIREWALL)
CONFIG = pod_config("web", port_mappings=[{"protocol": 0, "container_port": 8080, "host_port": 18080}])


def live(node: Node) -> None:
    """The whole life of a pod."""
    pod = node.cri.run(CONFIG)
    node.cri.stop(pod)
    node.cri.remove(pod)


def run_until_dead(node: Node) -> None:
    """Live until the server dies of its fault, which it must."""
    with pytest.raises(grpc.RpcError):
        live(node)
    assert node.daemon.wait() == -signal.SIGKILL


@pytest.mark.parametrize("point", FaultPoint, ids=str)
def test_killed_at(node: Node, point: FaultPoint) -> None:
    node.serve(NETWORK, fault=f"{point}:kill")
    run_until_dead(node)
    node.restart()
    ready = [pod for pod in node.cri.pods() if pod.state == pb.SANDBOX_READY]
    if ready:
        assert node.host.can_reach(Pod(node, ready[0].id).ips[0])
    else:
        assert not node.unowned()
    finish_the_request(node, point)
    assert not node.leftovers()


def finish_the_request(node: Node, point: FaultPoint) -> None:
    """Ask again for what the server died of, then for the rest of the pod's life."""
    if point.startswith(("run", "attach")):
        pod = node.run_pod("web", port_mappings=CONFIG["port_mappings"])
        assert node.host.can_reach(pod.ips[0])
    node.remove_all_pods()
    assert node.cri.pods() == []
    live(node)


def test_killed_again_while_it_cleans_up(node: Node) -> None:
    node.serve(NETWORK, fault=f"{FaultPoint.ATTACH_PLUGIN_2}:kill")
    run_until_dead(node)
    with pytest.raises(Exception, match="status -9"):
        node.restart(fault=f"{FaultPoint.DETACH_PLUGIN_1}:kill")
    node.restart()
    assert not node.unowned()


def test_a_ready_pod_outlives_the_server(node: Node) -> None:
    node.serve(NETWORK)
    pod = node.run_pod("web")
    before = pod.ips, pod.info["cniResult"]
    node.daemon.kill()
    assert node.host.can_reach(before[0][0])
    node.restart()
    assert (pod.ips, pod.info["cniResult"]) == before


def test_del_uses_the_configuration_of_add(node: Node) -> None:
    node.serve(NETWORK)
    pod = node.run_pod("web")
    for file in node.daemon.conf_dir.iterdir():
        file.write_text(json.dumps({"cniVersion": "1.0.0", "name": "other", "plugins": [{"type": "missing"}]}))
    node.restart()
    node.remove_pod(pod)
