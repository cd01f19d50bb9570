"""Usage as CRI tells it, so that a kubelet finds what it reads without looking whether it is there."""

from __future__ import annotations

import pytest

from crishim.container.stats import PodStats
from crishim.drivers.usage import InterfaceUsage
from crishim.rpc.convert.stats import pod_stats
from crishim.rpc.pb import api_pb2 as pb
from crishim.testing.container_world import example_sandbox


def network(*names: str) -> pb.NetworkUsage:
    """What is told of a pod with these interfaces."""
    interfaces = tuple(InterfaceUsage(name, 1, 2, 3, 4, 5, 6, 7, 8) for name in names)
    return pod_stats(PodStats(example_sandbox(), None, interfaces)).linux.network


def test_eth0_is_the_default_interface_and_the_others_are_told_too() -> None:
    usage = network("tun0", "eth0")
    assert (usage.default_interface.name, usage.default_interface.rx_bytes.value) == ("eth0", 1)
    assert [each.name for each in usage.interfaces] == ["tun0"]


def test_a_pod_that_has_no_eth0_any_more_has_a_default_interface_without_numbers() -> None:
    usage = network("renamed")
    assert usage.HasField("default_interface")
    assert usage.default_interface == pb.NetworkInterfaceUsage(name="eth0")
    assert [each.name for each in usage.interfaces] == ["renamed"]


@pytest.mark.parametrize("part", ["network", "cpu", "memory"])
def test_what_is_not_known_of_a_pod_is_left_out_of_its_message(part: str) -> None:
    message = pod_stats(PodStats(example_sandbox(), None))
    assert message.HasField("linux")
    assert not message.linux.HasField(part)
