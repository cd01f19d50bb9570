"""The node's status as a message, and the pod ranges it is told."""

import pytest
from google.protobuf import text_format

from crishim.core.errors import InvalidArgumentError
from crishim.model.node import Condition, NodeFeatures, NodeStatus, RuntimeHandler
from crishim.rpc.convert.info import info_map
from crishim.rpc.convert.node import pod_cidr, status_response
from crishim.rpc.pb import api_pb2 as pb

STATUS = NodeStatus(
    runtime=Condition(),
    network=Condition(False, "NetworkPluginNotReady", "no configuration"),
    handlers=(RuntimeHandler("crun", recursive_read_only_mounts=True), RuntimeHandler("", user_namespaces=True)),
    features=NodeFeatures(supplemental_groups_policy=True, mount_options=True),
)
SHOWN = """
status {
  conditions { type: "RuntimeReady" status: true }
  conditions { type: "NetworkReady" reason: "NetworkPluginNotReady" message: "no configuration" }
}
runtime_handlers { name: "crun" features { recursive_read_only_mounts: true } }
runtime_handlers { features { user_namespaces: true } }
features { supplemental_groups_policy: true mount_options: true }
"""


def test_status() -> None:
    assert status_response(STATUS) == text_format.Parse(SHOWN, pb.StatusResponse())


def told(text: str) -> pb.UpdateRuntimeConfigRequest:
    network = pb.NetworkConfig(pod_cidr=text)
    return pb.UpdateRuntimeConfigRequest(runtime_config=pb.RuntimeConfig(network_config=network))


@pytest.mark.parametrize("text", ["", "10.0.0.0/24", "10.0.0.7/24, fd00::/64"])
def test_pod_cidr(text: str) -> None:
    assert pod_cidr(told(text)) == text


@pytest.mark.parametrize("text", ["10.0.0.1", "10.0.0.0/33", "a/8", "10.0.0.0/8,", "10.0.0.0/8 fd00::/64"])
def test_pod_cidr_refused(text: str) -> None:
    with pytest.raises(InvalidArgumentError, match=r"runtime_config.network_config.pod_cidr: expected address ranges"):
        pod_cidr(told(text))


def test_info_is_json_by_name() -> None:
    assert info_map({"a": {"b": [1, None]}, "c": "OK"}) == {"a": '{"b":[1,null]}', "c": '"OK"'}
