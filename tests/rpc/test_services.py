"""Reflection, health, and every rpc that is not built yet."""

import grpc.aio
import pytest
from google.protobuf.descriptor import MethodDescriptor
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from crishim.rpc.pb import api_pb2 as pb
from crishim.rpc.pb.api_pb2_grpc import ImageServiceStub, RuntimeServiceStub
from crishim.testing.container_services import handlers_on_fakes
from crishim.testing.services import FakeNodeService, FakeSandboxService

pytestmark = pytest.mark.anyio

SERVICES = ["runtime.v1.ImageService", "runtime.v1.RuntimeService"]
BUILT = handlers_on_fakes(FakeNodeService(), FakeSandboxService())
METHODS = [method for service in pb.DESCRIPTOR.services_by_name.values() for method in service.methods]
UNBUILT = [method for method in METHODS if method.name not in BUILT]


async def reflected(
    channel: grpc.aio.Channel, request: reflection_pb2.ServerReflectionRequest
) -> reflection_pb2.ServerReflectionResponse:
    call = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo(iter([request]))
    (answer,) = [answer async for answer in call]
    return answer


async def test_reflection_lists_the_services(channel: grpc.aio.Channel) -> None:
    answer = await reflected(channel, reflection_pb2.ServerReflectionRequest(list_services=""))
    names = [service.name for service in answer.list_services_response.service]
    ours = ["crishim.v1.Images", *SERVICES]
    assert sorted(names) == sorted(["grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection", *ours])


@pytest.mark.parametrize("name", SERVICES)
async def test_reflection_has_the_file(channel: grpc.aio.Channel, name: str) -> None:
    answer = await reflected(channel, reflection_pb2.ServerReflectionRequest(file_containing_symbol=name))
    assert answer.file_descriptor_response.file_descriptor_proto == [pb.DESCRIPTOR.serialized_pb]


@pytest.mark.parametrize("name", ["", *SERVICES])
async def test_health(channel: grpc.aio.Channel, name: str) -> None:
    answer = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(service=name))
    assert answer.status == health_pb2.HealthCheckResponse.SERVING


def test_all_rpcs_are_accounted_for() -> None:
    assert (len(METHODS), len(UNBUILT)) == (43, 43 - len(BUILT))


@pytest.mark.parametrize("method", UNBUILT, ids=lambda method: method.name)
async def test_not_built_yet(runtime: RuntimeServiceStub, images: ImageServiceStub, method: MethodDescriptor) -> None:
    stub = runtime if method.containing_service.name == "RuntimeService" else images
    call = getattr(stub, method.name)(getattr(pb, method.input_type.name)())
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await (call.read() if method.server_streaming else call)
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
    assert caught.value.details() == f"runtime.v1.{method.containing_service.name}/{method.name} is not built yet"
