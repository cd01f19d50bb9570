"""Putting handlers together."""

import pytest
from google.protobuf.message import Message

from crishim.rpc.pb import api_pb2 as pb
from crishim.rpc.registry import combine, complete_service
from crishim.rpc.turns import Turns


async def handler(request: Message) -> Message:
    return request


def test_combine() -> None:
    assert combine({"A": handler}, {"B": handler}).keys() == {"A", "B"}


def test_an_rpc_has_one_handler() -> None:
    with pytest.raises(ValueError, match="ListImages"):
        combine({"ListImages": handler}, {"ListImages": handler})


def test_a_handler_needs_an_rpc() -> None:
    with pytest.raises(ValueError, match=r"runtime\.v1\.ImageService has no rpc Versoin"):
        complete_service(pb.DESCRIPTOR.services_by_name["ImageService"], {"Versoin": handler}, Turns())
