"""A hundred pods with a container each, while someone polls as kubelet does: none lost, none leaked."""

from __future__ import annotations

import statistics
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc

from crishim.rpc.pb import api_pb2 as pb
from tests.lab.conflists import bridge, conflist
from tests.lab.containers import Containers, leftovers, prepare, remove_group
from tests.lab.node import Node, eventually

PODS, AT_ONCE = 100, 8


class Poller(threading.Thread):
    """Asks for the lists and the usage of everything each second; ``seconds`` holds how long each question took."""

    def __init__(self, containers: Containers) -> None:
        super().__init__(name="poller")
        self._containers, self._ended = containers, threading.Event()
        self.seconds: list[float] = []

    def run(self) -> None:
        stub = self._containers.stub
        while not self._ended.wait(1):
            for ask, request in (
                (stub.ListPodSandbox, pb.ListPodSandboxRequest()),
                (stub.ListContainers, pb.ListContainersRequest()),
                (stub.ListContainerStats, pb.ListContainerStatsRequest()),
            ):
                started = time.perf_counter()
                ask(request, timeout=30)
                self.seconds.append(time.perf_counter() - started)

    def end(self) -> None:
        """Stop asking, and say how long the answers took."""
        self._ended.set()
        self.join()
        median, p95 = statistics.median(self.seconds), statistics.quantiles(self.seconds, n=20)[-1]
        print(f"{len(self.seconds)} questions, median {median * 1e3:.1f} ms, p95 {p95 * 1e3:.1f} ms")


def test_a_hundred_pods(node: Node, tmp_path: Path) -> None:
    node.serve(conflist("pods", bridge("cni0", "10.88.0.0/16")), own={"plugins": "auto"})
    prepare(node, tmp_path / "busybox.tar")
    with grpc.insecure_channel(f"unix://{node.daemon.socket}") as channel, ThreadPoolExecutor(AT_ONCE) as pool:
        containers = Containers(channel)
        poller = Poller(containers)
        poller.start()
        pods = list(pool.map(containers.run_pod, [f"pod-{number}" for number in range(PODS)]))
        made = list(pool.map(containers.run, pods))
        assert containers.states() == dict.fromkeys(made, pb.CONTAINER_RUNNING)
        list(pool.map(containers.stop, made))
        assert containers.states() == dict.fromkeys(made, pb.CONTAINER_EXITED)
        list(pool.map(node.remove_pod, pods))
        poller.end()
        assert (containers.states(), node.cri.pods()) == ({}, [])
    assert eventually(lambda: not leftovers(node)), leftovers(node)
    remove_group()
