"""The rpcs about the runtime itself, through a real server."""

import pytest

import crishim
from crishim.model.node import Condition, NodeStatus
from crishim.rpc.pb import api_pb2 as pb
from crishim.rpc.pb.api_pb2_grpc import RuntimeServiceStub
from crishim.testing.services import FakeNodeService

pytestmark = pytest.mark.anyio


async def test_version(runtime: RuntimeServiceStub) -> None:
    assert await runtime.Version(pb.VersionRequest()) == pb.VersionResponse(
        version="0.1.0", runtime_name="crishim", runtime_version=crishim.__version__, runtime_api_version="v1"
    )


@pytest.mark.parametrize("verbose", [False, True])
async def test_status(runtime: RuntimeServiceStub, node: FakeNodeService, verbose: bool) -> None:
    node.reported = NodeStatus(runtime=Condition(), network=Condition(False, "NetworkPluginNotReady"))
    node.verbose = {"cniconfig": {"Networks": []}}
    answer = await runtime.Status(pb.StatusRequest(verbose=verbose))
    assert [condition.status for condition in answer.status.conditions] == [True, False]
    assert dict(answer.info) == ({"cniconfig": '{"Networks":[]}'} if verbose else {})


@pytest.mark.parametrize(("name", "driver"), [("systemd", pb.SYSTEMD), ("cgroupfs", pb.CGROUPFS)])
async def test_cgroup_driver(
    runtime: RuntimeServiceStub, node: FakeNodeService, name: str, driver: pb.CgroupDriver
) -> None:
    node.cgroup_driver = name  # type: ignore[assignment]
    assert (await runtime.RuntimeConfig(pb.RuntimeConfigRequest())).linux.cgroup_driver == driver


@pytest.mark.parametrize(("told", "heard"), [("10.0.0.0/24,fd00::/64", ["10.0.0.0/24,fd00::/64"]), ("", [])])
async def test_pod_cidr(runtime: RuntimeServiceStub, node: FakeNodeService, told: str, heard: list[str]) -> None:
    config = pb.RuntimeConfig(network_config=pb.NetworkConfig(pod_cidr=told))
    await runtime.UpdateRuntimeConfig(pb.UpdateRuntimeConfigRequest(runtime_config=config))
    assert node.pod_cidrs == heard
