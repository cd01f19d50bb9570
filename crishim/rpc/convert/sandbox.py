"""From the model of a sandbox to the messages that show it, and from a filter message to the model."""

from __future__ import annotations

from crishim.model.pod import PodMetadata
from crishim.model.sandbox import Sandbox, SandboxFilter, State
from crishim.rpc.convert.fields import number_of
from crishim.rpc.convert.message import Fields
from crishim.rpc.convert.security import namespace_fields
from crishim.rpc.pb import api_pb2 as pb


def sandbox_status(sandbox: Sandbox) -> Fields:
    """All that a status shows."""
    config = sandbox.config
    return {
        "id": sandbox.id,
        "metadata": pod_metadata(config.metadata),
        "state": _state(sandbox.state),
        "created_at": sandbox.created_at,
        "network": network_status(sandbox.ips),
        "linux": {"namespaces": {"options": namespace_fields(config.namespaces)}},
        "labels": config.labels,
        "annotations": config.annotations,
        "runtime_handler": sandbox.runtime_handler,
    }


def sandbox_item(sandbox: Sandbox) -> Fields:
    """The part of a sandbox that a list shows."""
    config = sandbox.config
    return {
        "id": sandbox.id,
        "metadata": pod_metadata(config.metadata),
        "state": _state(sandbox.state),
        "created_at": sandbox.created_at,
        "labels": config.labels,
        "annotations": config.annotations,
        "runtime_handler": sandbox.runtime_handler,
    }


def network_status(ips: tuple[str, ...]) -> Fields:
    """The addresses, the primary one first; none when the pod uses the node's network."""
    if not ips:
        return {}
    return {"ip": ips[0], "additional_ips": [{"ip": ip} for ip in ips[1:]]}


def sandbox_filter(message: pb.PodSandboxFilter) -> SandboxFilter:
    """Which sandboxes to list; an empty message admits all."""
    ready = None
    if message.HasField("state"):
        ready = number_of("filter.state.state", pb.PodSandboxState, message.state.state) == pb.SANDBOX_READY
    return SandboxFilter(id=message.id, ready=ready, labels=dict(message.label_selector))


def pod_metadata(metadata: PodMetadata) -> Fields:
    """What identifies a pod to a kubelet."""
    return {
        "name": metadata.name,
        "uid": metadata.uid,
        "namespace": metadata.namespace,
        "attempt": metadata.attempt,
    }


def _state(state: State) -> pb.PodSandboxState:
    return pb.SANDBOX_READY if state is State.READY else pb.SANDBOX_NOTREADY
