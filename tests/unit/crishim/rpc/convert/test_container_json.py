"""The JSON of a container configuration is the message itself, so reading it back gives the same configuration."""

import msgspec
from google.protobuf import json_format
from hypothesis import given

from crishim.model.container import ContainerConfig, ContainerMetadata, ContainerSecurity, ImageSpec
from crishim.rpc.convert.container import container_config
from crishim.rpc.convert.container_json import container_config_json
from crishim.rpc.pb import api_pb2 as pb
from tests.unit.crishim.container_configs import CONFIGS


@given(CONFIGS)
def test_round_trip(config: ContainerConfig) -> None:
    text = msgspec.json.encode(container_config_json(config)).decode()
    assert container_config("config", json_format.Parse(text, pb.ContainerConfig())) == config


def test_what_is_unset_is_left_out() -> None:
    config = ContainerConfig(ContainerMetadata("a"), ImageSpec("i"), security=ContainerSecurity(run_as_user=0))
    assert container_config_json(config) == {
        "metadata": {"name": "a"},
        "image": {"image": "i"},
        "linux": {"security_context": {"run_as_user": {}}},
    }


def test_bytes_are_base64() -> None:
    config = ContainerConfig(ContainerMetadata("a"), ImageSpec("i"), envs=(("A", b"\xff"),))
    assert container_config_json(config)["envs"] == [{"key": "A", "value": "/w=="}]
