"""The whole way of a pod's address, with nothing faked, in a cluster of two nodes, one on crun and one on runc.

Kubernetes' controllers give each node a podCIDR, flannel's agents make the network of it, the API server's pods get
addresses from it, and reach each other from node to node and through a service.
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest

from tests.lab.cluster import PROGRAMS, Cluster
from tests.lab.daemon import PEER
from tests.lab.kube_api import Json, is_ready
from tests.lab.kubelet import container
from tests.lab.node import eventually

pytestmark = [
    pytest.mark.skipif(PEER, reason="the image gets there through crishim's own import"),
    pytest.mark.skipif(
        not (PROGRAMS / "flanneld").exists(), reason="needs hack/build-tools controlplane etcd flanneld"
    ),
    pytest.mark.timeout(240),
]
PODS = "/api/v1/namespaces/default/pods"
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"
MANY = 24
WEB = "mkdir /www; hostname > /www/index.html; exec httpd -f -p 8080 -h /www"
ASK = 'ask() { printf "GET / HTTP/1.0\\r\\n\\r\\n" | nc -w 3 $1 $2 | tail -n 1 | grep . || echo "no answer of $1"; }'


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    """Two nodes that are ready."""
    cluster = Cluster(tmp_path)
    try:
        cluster.start()
        cluster.add_node("a", "crun")
        cluster.add_node("b", "runc")
        yield cluster
    finally:
        cluster.stop()


def spec(script: str, **fields: object) -> Json:
    """A pod's spec with one container, whose keys are ``fields``."""
    return {"terminationGracePeriodSeconds": 1, "containers": [container("main", script, **fields)]}


def deployment(name: str, pod: Json, replicas: int) -> Json:
    labels = {"app": name}
    template = {"metadata": {"labels": labels}, "spec": pod}
    wanted = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": wanted}


def ready(cluster: Cluster) -> list[Json]:
    """The pods that are ready."""
    return [pod for pod in cluster.api.get(PODS)["items"] if is_ready(pod)]


def remove_everything(cluster: Cluster) -> None:
    """All pods are gone, and nothing of them is left on any node."""
    cluster.api.delete(DEPLOYMENTS)
    cluster.api.delete(PODS)
    assert eventually(lambda: not cluster.api.get(PODS)["items"], 60), cluster.api.get(PODS)["items"]
    for node in cluster.nodes:
        assert node.ask("leftovers") == []


def test_pods_of_two_nodes_reach_each_other_at_the_addresses_their_nodes_were_given(cluster: Cluster) -> None:
    probe = {"httpGet": {"path": "/", "port": 8080}, "periodSeconds": 1}
    cluster.api.create(DEPLOYMENTS, deployment("web", spec(WEB, readinessProbe=probe), 4))
    ports = {"port": 80, "targetPort": 8080}
    service = {"metadata": {"name": "web"}, "spec": {"selector": {"app": "web"}, "ports": [ports]}}
    address = cluster.api.create("/api/v1/namespaces/default/services", service)["spec"]["clusterIP"]
    assert eventually(lambda: len(ready(cluster)) == 4, 60), cluster.api.get(PODS)["items"]

    web = ready(cluster)
    given = {node["metadata"]["name"]: node["spec"]["podCIDR"] for node in cluster.api.get("/api/v1/nodes")["items"]}
    assert {pod["spec"]["nodeName"] for pod in web} == set(given) == {"a", "b"}
    for pod in web:
        assert ip_address(pod["status"]["podIP"]) in ip_network(given[pod["spec"]["nodeName"]])

    for node in given:
        ask_from(cluster, node, web, address)
    remove_everything(cluster)


def ask_from(cluster: Cluster, node: str, web: list[Json], service: str) -> None:
    """A pod on ``node`` reaches each pod of ``web`` at once, and all of them through the service."""
    asked = "; ".join(f"ask {pod['status']['podIP']} 8080" for pod in web)
    script = f"{ASK}; {asked}; while sleep 0.1; do ask {service} 80; done"
    pod = spec(script, ports=[{"containerPort": 8080, "hostPort": 18080}])
    cluster.api.create(PODS, {"metadata": {"name": node}, "spec": {"nodeName": node, **pod}})
    names = {pod["metadata"]["name"] for pod in web}
    direct = len(web)
    assert eventually(lambda: names <= set(said(cluster, node)[direct:]), 60), said(cluster, node)
    assert set(said(cluster, node)[:direct]) == names


def said(cluster: Cluster, pod: str) -> list[str]:
    """The lines of a pod's log; none before it runs."""
    try:
        return cluster.api.log(pod).splitlines()
    except OSError:
        return []


def test_limits_change_while_a_container_runs(cluster: Cluster) -> None:
    for node in ("a", "b"):
        resize_on(cluster, node)
    remove_everything(cluster)


def resize_on(cluster: Cluster, node: str) -> None:
    script = "while sleep 0.2; do cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/memory/memory.limit_in_bytes; done"
    pod = spec(f"exec 2>&-; {script}", resources={"limits": {"memory": "20Mi", "cpu": "100m"}})
    cluster.api.create(PODS, {"metadata": {"name": node}, "spec": {"nodeName": node, **pod}})
    await_limit(cluster, node, 20 << 20)
    limits = {"memory": "30Mi", "cpu": "200m"}
    resources = {"limits": limits, "requests": limits}
    cluster.api.patch(f"{PODS}/{node}/resize", {"spec": {"containers": [{"name": "main", "resources": resources}]}})
    await_limit(cluster, node, 30 << 20)
    assert eventually(lambda: status_of(cluster, node)["resources"] == resources, 30), status_of(cluster, node)
    assert status_of(cluster, node)["restartCount"] == 0


def await_limit(cluster: Cluster, pod: str, limit: int) -> None:
    """Wait until the only container of a pod has seen that it may use so many bytes."""
    assert eventually(lambda: str(limit) in said(cluster, pod), 60), cluster.api.get(f"{PODS}/{pod}")


def status_of(cluster: Cluster, pod: str) -> Json:
    """The status of a pod's only container."""
    (status,) = cluster.api.get(f"{PODS}/{pod}")["status"]["containerStatuses"]
    return dict(status)


def test_a_rollout_survives_servers_that_crash(cluster: Cluster) -> None:
    cluster.api.create(DEPLOYMENTS, deployment("web", spec(WEB), MANY // 2))
    assert eventually(lambda: len(ready(cluster)) == MANY // 2, 60)
    former = {pod["metadata"]["uid"] for pod in ready(cluster)}
    annotations = {"annotations": {"changed": "yes"}}
    cluster.api.patch(f"{DEPLOYMENTS}/web", {"spec": {"replicas": MANY, "template": {"metadata": annotations}}})
    for _ in range(3):
        for node in cluster.nodes:
            node.ask("crash")

    def rolled_out() -> list[Json]:
        pods = cluster.api.get(PODS)["items"]
        new = [pod for pod in pods if pod["metadata"]["uid"] not in former]
        return pods if len(new) == len(pods) == MANY and all(map(is_ready, pods)) else []

    assert eventually(rolled_out, 90), cluster.api.get(PODS)["items"]
    pods = rolled_out()
    assert len({pod["status"]["podIP"] for pod in pods}) == MANY
    statuses = [status for pod in pods for status in pod["status"]["containerStatuses"]]
    assert not [status for status in statuses if status["lastState"]], "a container has ended"
    remove_everything(cluster)
