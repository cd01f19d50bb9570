"""A CRI client for tests and benchmarks: pod configurations as JSON, and the stub to send them with."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
from google.protobuf.json_format import ParseDict

from crishim.rpc.pb import api_pb2 as pb
from crishim.rpc.pb import api_pb2_grpc

# NamespaceMode.NODE, as crictl's JSON wants it: a number.
NODE = 2


def pod_config(name: str, *, host_network: bool = False, **fields: Any) -> dict[str, Any]:
    """A PodSandboxConfig in the JSON form that crictl reads; ``fields`` are further keys of it."""
    options = {"network": NODE} if host_network else {}
    return {
        "metadata": {"name": name, "namespace": "tests", "uid": f"uid-of-{name}", "attempt": 1},
        "log_directory": "",
        "linux": {"security_context": {"namespace_options": options}},
        **copy.deepcopy(fields),
    }


def run_request(config: dict[str, Any], handler: str = "") -> pb.RunPodSandboxRequest:
    """The request that runs ``config`` under the runtime handler ``handler``."""
    return pb.RunPodSandboxRequest(config=ParseDict(config, pb.PodSandboxConfig()), runtime_handler=handler)


class Runtime:
    """The sandbox calls of CRI, blocking; ``timeout`` is the seconds each may take. Errors are grpc.RpcError."""

    def __init__(self, channel: grpc.Channel, timeout: float = 60) -> None:
        self._stub, self._timeout = api_pb2_grpc.RuntimeServiceStub(channel), timeout

    def run(self, config: dict[str, Any], handler: str = "") -> str:
        """RunPodSandbox; returns the id."""
        return str(self._stub.RunPodSandbox(run_request(config, handler), timeout=self._timeout).pod_sandbox_id)

    def stop(self, pod: str) -> None:
        """StopPodSandbox."""
        self._stub.StopPodSandbox(pb.StopPodSandboxRequest(pod_sandbox_id=pod), timeout=self._timeout)

    def remove(self, pod: str) -> None:
        """RemovePodSandbox."""
        self._stub.RemovePodSandbox(pb.RemovePodSandboxRequest(pod_sandbox_id=pod), timeout=self._timeout)

    def status(self, pod: str) -> pb.PodSandboxStatusResponse:
        """PodSandboxStatus, verbose."""
        request = pb.PodSandboxStatusRequest(pod_sandbox_id=pod, verbose=True)
        answer: pb.PodSandboxStatusResponse = self._stub.PodSandboxStatus(request, timeout=self._timeout)
        return answer

    def pods(self) -> list[pb.PodSandbox]:
        """ListPodSandbox, unfiltered."""
        return list(self._stub.ListPodSandbox(pb.ListPodSandboxRequest(), timeout=self._timeout).items)

    def node_conditions(self) -> dict[str, bool]:
        """Status, as a mapping of condition to whether it holds."""
        answer = self._stub.Status(pb.StatusRequest(), timeout=self._timeout)
        return {condition.type: condition.status for condition in answer.status.conditions}

    def set_pod_cidr(self, cidr: str) -> None:
        """UpdateRuntimeConfig with the node's podCIDR, as kubelet sends it."""
        config = pb.RuntimeConfig(network_config=pb.NetworkConfig(pod_cidr=cidr))
        self._stub.UpdateRuntimeConfig(pb.UpdateRuntimeConfigRequest(runtime_config=config), timeout=self._timeout)


@contextmanager
def connect(socket: Path, timeout: float = 60) -> Iterator[Runtime]:
    """A Runtime on the server at ``socket``; the connection ends with the context."""
    with grpc.insecure_channel(f"unix://{socket}") as channel:
        yield Runtime(channel, timeout)
