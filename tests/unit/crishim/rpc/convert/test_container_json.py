"""The JSON of a container configuration is what crictl reads, so reading it back gives the same configuration."""

import base64

import msgspec
from google.protobuf import json_format
from hypothesis import given
from msgspec.structs import replace

from crishim.model.container import ContainerConfig, ContainerMetadata, ImageSpec
from crishim.rpc.convert.container import container_config
from crishim.rpc.convert.container_json import container_config_json
from crishim.rpc.pb import api_pb2 as pb
from tests.unit.crishim.container_configs import CONFIGS


@given(CONFIGS)
def test_round_trip(config: ContainerConfig) -> None:
    shown = msgspec.json.decode(msgspec.json.encode(container_config_json(config)))
    for env in shown.get("envs", ()):
        env["value"] = base64.b64encode(env.get("value", "").encode()).decode()
    envs = tuple((key, value.decode(errors="replace").encode()) for key, value in config.envs)
    read = container_config("config", json_format.ParseDict(shown, pb.ContainerConfig()))
    assert read == replace(config, envs=envs)


def test_what_is_unset_is_left_out() -> None:
    message = pb.ContainerConfig(metadata={"name": "a"}, image={"image": "i"})
    shown = {"metadata": {"name": "a"}, "image": {"image": "i"}}
    assert container_config_json(container_config("", message)) == shown
    message.linux.security_context.run_as_user.value = 0
    security = {"run_as_user": {"value": 0}}
    assert container_config_json(container_config("", message)) == {**shown, "linux": {"security_context": security}}


def test_the_values_of_variables_are_text() -> None:
    config = ContainerConfig(ContainerMetadata("a"), ImageSpec("i"), envs=(("A", "\u00fc".encode()), ("B", b"\xff")))
    shown = container_config_json(config)["envs"]
    assert shown == [{"key": "A", "value": "\u00fc"}, {"key": "B", "value": "\ufffd"}]
