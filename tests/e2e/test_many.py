"""Many sandboxes at once: none lost, none leaked."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.lab.conflists import PORTMAP, bridge, conflist
from tests.lab.daemon import PEER
from tests.lab.node import Node

PODS, AT_ONCE = 40, 8


def test_forty_sandboxes_eight_at_once(node: Node) -> None:
    node.serve(conflist("pods", bridge("cni0", "10.88.0.0/24"), PORTMAP))
    with ThreadPoolExecutor(AT_ONCE) as pool:
        pods = list(pool.map(node.run_pod, [f"pod-{number}" for number in range(PODS)]))
        assert {pod.id for pod in node.cri.pods()} == {pod.id for pod in pods}
        addresses = [pod.ips[0] for pod in pods]
        assert node.reservations() == {address: pod.id for address, pod in zip(addresses, pods, strict=True)}
        assert all(pool.map(node.host.can_reach, addresses))
        list(pool.map(node.remove_pod, pods))
    assert node.cri.pods() == []
    assert not node.leftovers()


@pytest.mark.skipif(PEER, reason="containerd refuses a name that is taken")
def test_one_attempt_asked_for_eight_times_at_once_is_made_once(node: Node) -> None:
    node.serve(conflist("pods", bridge("cni0", "10.88.0.0/24")))
    with ThreadPoolExecutor(AT_ONCE) as pool:
        ids = {pod.id for pod in pool.map(node.run_pod, ["same"] * AT_ONCE)}
    assert len(ids) == len(node.reservations()) == 1
