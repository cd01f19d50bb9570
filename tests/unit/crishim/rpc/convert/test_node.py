"""The node's status as a message."""

from google.protobuf import text_format

from crishim.model.node import Condition, NodeFeatures, NodeStatus, RuntimeHandler
from crishim.rpc.convert.info import info_map
from crishim.rpc.convert.node import status_response
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


def test_info_is_json_by_name() -> None:
    assert info_map({"a": {"b": [1, None]}, "c": "OK"}) == {"a": '{"b":[1,null]}', "c": '"OK"'}
