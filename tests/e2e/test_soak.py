"""Clients make, use and remove pods, also each other's, while the server is killed again and again: nothing is left."""

from __future__ import annotations

import random
import threading
import time
from pathlib import Path

import grpc
import pytest

from crishim.rpc.pb import api_pb2 as pb
from tests.lab.conflists import bridge, conflist
from tests.lab.containers import Containers, leftovers, prepare, remove_group
from tests.lab.node import Node, eventually

CLIENTS, KILLS = 4, 8
COMMANDS = (("sleep", "1000"), ("true",), ("sh", "-c", "exit 3"), ("sh", "-c", "trap '' TERM; sleep 1000"))


class Client(threading.Thread):
    """Goes through lives of pods, each step of which may fail, until it is told to end."""

    def __init__(self, node: Node, number: int, pods: list[str]) -> None:
        super().__init__(name=f"client {number}")
        self._node, self._number, self._pods, self._random = node, number, pods, random.Random(number)
        self._ended = threading.Event()
        self.lives = 0

    def run(self) -> None:
        while not self._ended.is_set():
            with grpc.insecure_channel(f"unix://{self._node.daemon.socket}") as channel:
                try:
                    self._live(Containers(channel, shared_pid=self._coin()))
                    self.lives += 1
                except grpc.RpcError:  # the server was killed, or another client was faster
                    time.sleep(0.1)

    def end(self) -> None:
        """Let the life that is being lived be the last."""
        self._ended.set()

    def _live(self, containers: Containers) -> None:
        pod = containers.run_pod(f"pod-{self._number}-{time.monotonic_ns()}")
        self._pods.append(pod)
        for name in ("first", "second"):
            container = containers.create(pod, name, self._random.choice(COMMANDS))
            containers.start(container)
            if self._coin():
                containers.stop(container)
            if self._coin():
                containers.remove(container)
        containers.stub.ListContainerStats(pb.ListContainerStatsRequest(), timeout=30)
        if self._coin():
            containers.sandboxes.remove(self._random.choice(self._pods))
        if self._coin():
            containers.sandboxes.stop(pod)
        containers.sandboxes.remove(pod)

    def _coin(self) -> bool:
        return self._random.random() < 0.5


@pytest.mark.parametrize("runtime", ["crun", "runc"])
def test_nothing_is_left(node: Node, tmp_path: Path, runtime: str) -> None:
    node.serve(conflist("pods", bridge("cni0", "10.88.0.0/16")), own={"plugins": "auto"}, runtime=runtime)
    prepare(node, tmp_path / "busybox.tar")
    before, pods = node.snapshot(), list[str]()
    clients = [Client(node, number, pods) for number in range(CLIENTS)]
    for client in clients:
        client.start()
    for number in range(KILLS):
        time.sleep(random.Random(number).uniform(0.1, 2))  # seconds; any moment is to be survived
        node.daemon.kill()
        node.restart()
    for client in clients:
        client.end()
    for client in clients:
        client.join()
    assert sum(client.lives for client in clients) > 0
    node.remove_all_pods()
    assert eventually(lambda: not leftovers(node) and node.snapshot() == before), (leftovers(node), node.snapshot())
    remove_group()
