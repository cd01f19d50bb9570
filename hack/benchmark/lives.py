"""The lives of pods and containers that are measured, in the calls of CRI."""

from __future__ import annotations

from collections import defaultdict
from itertools import count
from typing import Any

import grpc
from google.protobuf.json_format import ParseDict

from crishim.rpc.pb import api_pb2 as pb
from crishim.rpc.pb.api_pb2_grpc import RuntimeServiceStub
from hack.benchmark.contenders import CGROUP, IMAGE, Contender
from hack.benchmark.timed import Times, timed
from tests.lab.cri import pod_config, run_request

WORKLOAD = "/bin/sleep"
# With the pod's PID namespace, as here, it is not the first process of one, so the stop signal ends it at once.
_COMMAND = (WORKLOAD, "1000")
_GRACE_SECONDS = 60
_numbers = count()


class Client:
    """Calls of one server. They block; a client may be used by several threads."""

    def __init__(self, contender: Contender) -> None:
        self.name, self._server = contender.name, contender.server
        self._channel = grpc.insecure_channel(f"unix://{contender.server.socket}")
        self._stub = RuntimeServiceStub(self._channel)

    def close(self) -> None:
        """End the connection."""
        self._channel.close()

    def process(self) -> int:
        """The process that the server and all it starts descend from."""
        assert self._server.pid is not None, f"{self.name} has ended\n{self._server.tail()}"
        return self._server.pid

    def live_as_pod(self, times: Times) -> None:
        """The life of a pod without containers, each step timed."""
        config = _pod()
        with timed(times, "CreatePod"):
            pod = self._stub.RunPodSandbox(run_request(config)).pod_sandbox_id
        with timed(times, "StatusPod"):
            self._stub.PodSandboxStatus(pb.PodSandboxStatusRequest(pod_sandbox_id=pod, verbose=True))
        self.remove_pod(pod, times)

    def live_as_container(self, times: Times) -> None:
        """The life of a container in a pod of its own, each step of the container timed."""
        pod, container = self.run(times)
        with timed(times, "StatusContainer"):
            self._stub.ContainerStatus(pb.ContainerStatusRequest(container_id=container, verbose=True))
        with timed(times, "StopContainer"):
            self._stub.StopContainer(pb.StopContainerRequest(container_id=container, timeout=_GRACE_SECONDS))
        with timed(times, "RemoveContainer"):
            self._stub.RemoveContainer(pb.RemoveContainerRequest(container_id=container))
        self.remove_pod(pod, defaultdict(list))

    def run(self, times: Times) -> tuple[str, str]:
        """A pod with a container that runs, whose making is timed; their ids."""
        config = _pod()
        pod = self._stub.RunPodSandbox(run_request(config)).pod_sandbox_id
        request = pb.CreateContainerRequest(
            pod_sandbox_id=pod,
            config=ParseDict(_CONTAINER, pb.ContainerConfig()),
            sandbox_config=ParseDict(config, pb.PodSandboxConfig()),
        )
        with timed(times, "Create + Start"):
            container = self._stub.CreateContainer(request).container_id
            self._stub.StartContainer(pb.StartContainerRequest(container_id=container))
        return pod, container

    def remove_pod(self, pod: str, times: Times) -> None:
        """Stop and remove a pod with all that is in it."""
        with timed(times, "StopPod"):
            self._stub.StopPodSandbox(pb.StopPodSandboxRequest(pod_sandbox_id=pod))
        with timed(times, "RemovePod"):
            self._stub.RemovePodSandbox(pb.RemovePodSandboxRequest(pod_sandbox_id=pod))


_CONTAINER = {"metadata": {"name": "main"}, "image": {"image": IMAGE}, "command": list(_COMMAND), "linux": {}}


def _pod() -> dict[str, Any]:
    """The configuration of another pod, with its PID namespace shared as crictl and critest ask for by default."""
    return pod_config(f"pod-{next(_numbers)}", linux={"cgroup_parent": f"/{CGROUP}"})
