"""From the model of the node to the messages that show it."""

from __future__ import annotations

from crishim.model.node import Condition, NodeStatus, RuntimeHandler
from crishim.rpc.convert.message import Fields
from crishim.rpc.pb import api_pb2 as pb


def status_response(status: NodeStatus) -> pb.StatusResponse:
    """The answer to Status, without the verbose part."""
    features = status.features
    return pb.StatusResponse(
        status={
            "conditions": [_condition("RuntimeReady", status.runtime), _condition("NetworkReady", status.network)],
        },
        runtime_handlers=[_runtime_handler(handler) for handler in status.handlers],
        features={
            "supplemental_groups_policy": features.supplemental_groups_policy,
            "user_namespaces_host_network": features.user_namespaces_host_network,
            "mount_options": features.mount_options,
        },
    )


def _condition(kind: str, condition: Condition) -> Fields:
    return {"type": kind, "status": condition.ready, "reason": condition.reason, "message": condition.message}


def _runtime_handler(handler: RuntimeHandler) -> Fields:
    return {
        "name": handler.name,
        "features": {
            "recursive_read_only_mounts": handler.recursive_read_only_mounts,
            "user_namespaces": handler.user_namespaces,
        },
    }
