"""The server is killed at every fault point in the life of a container: states come right and nothing leaks."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from crishim.core.faultpoints import ContainerFaultPoint
from crishim.rpc.pb import api_pb2 as pb
from tests.lab.conflists import bridge, conflist
from tests.lab.containers import Containers, leftovers, prepare, remove_all
from tests.lab.node import Node, eventually

NETWORK = conflist("pods", bridge("cni0", "10.88.0.0/24"))


@pytest.fixture
def serving(node: Node, tmp_path: Path) -> Iterator[Node]:
    """The node with an image; at the end no container has left anything."""
    node.serve(NETWORK, own={"plugins": "auto"})
    prepare(node, tmp_path / "busybox.tar")
    yield node
    remove_all(node)


def connect(node: Node, *, shared_pid: bool = False) -> Containers:
    return Containers(grpc.insecure_channel(f"unix://{node.daemon.socket}"), shared_pid=shared_pid)


def live(containers: Containers, pod: str) -> None:
    """The whole life of a container."""
    container = containers.run(pod)
    assert containers.answers(container)
    containers.stop(container)
    containers.remove(container)


OF_THE_OCI_DRIVER = (
    "oci.create.noted",
    "oci.create.spawned",
    "oci.start.noted",
    "oci.start.let_run",
    "oci.start.started",
    "oci.exec.spawned",
)
HAVE_BEGUN_TO_START = (ContainerFaultPoint.STARTED, *OF_THE_OCI_DRIVER[2:])


@pytest.mark.parametrize("point", [*ContainerFaultPoint, *OF_THE_OCI_DRIVER], ids=str)
def test_killed_at(serving: Node, point: str) -> None:
    pod = connect(serving).run_pod("web")
    serving.restart(fault=f"{point}:kill")
    with pytest.raises(grpc.RpcError):
        live(connect(serving), pod)
    assert serving.daemon.wait() == -signal.SIGKILL
    serving.restart()
    containers = connect(serving)
    states = containers.states()
    if point in HAVE_BEGUN_TO_START:
        assert list(states.values()) == [pb.CONTAINER_RUNNING]
    for container, state in states.items():
        assert state != pb.CONTAINER_RUNNING or containers.answers(container)
        containers.remove(container)
    assert containers.answers(containers.run(pod))


def test_killed_while_the_pid_namespace_of_a_pod_is_made(serving: Node) -> None:
    pod = connect(serving).run_pod("web")
    for point in ("oci.infra.started", "oci.infra.recorded"):
        serving.restart(fault=f"{point}:kill")
        with pytest.raises(grpc.RpcError):
            connect(serving, shared_pid=True).run(pod)
        serving.restart()
        assert not leftovers(serving)
    containers = connect(serving, shared_pid=True)
    assert containers.answers(containers.run(pod))


@pytest.mark.parametrize("shared_pid", [False, True])
def test_a_running_container_outlives_the_server(serving: Node, shared_pid: bool) -> None:
    containers = connect(serving, shared_pid=shared_pid)
    container = containers.run(containers.run_pod("web"))
    serving.daemon.kill()
    serving.restart()
    again = connect(serving)
    assert again.states() == {container: pb.CONTAINER_RUNNING}
    assert again.answers(container)


def test_an_end_that_no_server_saw_is_known_at_once(serving: Node) -> None:
    containers = connect(serving)
    pod = containers.run_pod("web")
    container = containers.create(pod, command=("sh", "-c", "sleep 1; exit 7"))
    containers.start(container)
    serving.daemon.kill()
    eventually(lambda: False, timeout=2)
    serving.restart()
    status = connect(serving).stub.ContainerStatus(pb.ContainerStatusRequest(container_id=container)).status
    assert (status.state, status.exit_code, status.reason) == (pb.CONTAINER_EXITED, 7, "Error")
