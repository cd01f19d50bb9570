"""Interfaces are counted in pods that do what they can with their network."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from msgspec.structs import replace

from cni_runtime.testing.host import Host
from crishim.drivers.cgroups.hierarchy import Hierarchies
from crishim.drivers.usage import UsageDriver
from crishim.model.sandbox import NamespacePaths, Sandbox
from crishim.testing.container_world import example_sandbox

pytestmark = pytest.mark.anyio

DRIVER = UsageDriver(Hierarchies(), lambda _: "", lambda _: "", Path("/"), Path("/"))


def pod(netns: str) -> Sandbox:
    return replace(example_sandbox(netns), namespaces=NamespacePaths(net=netns))


async def test_no_pod_keeps_the_numbers_of_another_away(host_netns: Host) -> None:
    pods = [str(host_netns.add_netns(name)) for name in ("odd", "good")]
    for netns, name in zip(pods, (b"\xff", b"eth0"), strict=True):
        veth = ("ip", "link", "add", os.fsdecode(name), "type", "veth", "peer", "name", "peer")
        host_netns.run(*veth, netns=Path(netns))
    found = await DRIVER.interfaces(list(map(pod, (pods[0], "/gone", "no path\0", pods[1]))))
    assert [{each.name for each in found[netns]} for netns in pods] == [{"\\xff", "peer"}, {"eth0", "peer"}]
