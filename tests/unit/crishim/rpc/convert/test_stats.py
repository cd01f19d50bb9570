"""Usage as CRI tells it, so that a kubelet finds what it reads without looking whether it is there."""

from __future__ import annotations

import pytest
from google.protobuf import text_format

from crishim.container.stats import ContainerStats, PodStats
from crishim.drivers.cgroups.stats import CpuStats, GroupStats, MemoryStats, Pressure, Stall
from crishim.drivers.usage import DiskUsage, InterfaceUsage
from crishim.model.container import Container, ContainerConfig, ContainerMetadata, ImageSpec
from crishim.rpc.convert.stats import pod_stats
from crishim.rpc.pb import api_pb2 as pb
from crishim.testing.container_world import example_sandbox

GROUP = GroupStats(
    timestamp=7,
    cpu=CpuStats(usage=11, pressure=Pressure(some=Stall(1, 0.1, 0.2, 0.3), full=Stall(2, 0.4, 0.5, 0.6))),
    memory=MemoryStats(
        usage=50, working_set=40, rss=30, page_faults=5, major_page_faults=1, limit=100, swap=8, swap_limit=20
    ),
    processes=3,
    io_pressure=Pressure(some=Stall(total=9)),
)
CONTAINER = Container(
    id="c1",
    sandbox_id="pod",
    config=ContainerConfig(
        ContainerMetadata("main", 2), ImageSpec("busybox:1"), labels={"app": "web"}, annotations={"note": "n"}
    ),
    runtime_handler="",
    created_at=1,
    boot_id="b",
)
OF_BOTH = """
cpu {
  timestamp: 7 usage_core_nano_seconds { value: 11 } usage_nano_cores { value: 13 }
  psi { Some { Total: 1 Avg10: 0.1 Avg60: 0.2 Avg300: 0.3 } Full { Total: 2 Avg10: 0.4 Avg60: 0.5 Avg300: 0.6 } }
}
memory {
  timestamp: 7 working_set_bytes { value: 40 } available_bytes { value: 60 } usage_bytes { value: 50 }
  rss_bytes { value: 30 } page_faults { value: 5 } major_page_faults { value: 1 }
}
io { timestamp: 7 psi { Some { Total: 9 } Full {} } }
"""
OF_CONTAINER = f"""
attributes {{
  id: "c1" metadata {{ name: "main" attempt: 2 }}
  labels {{ key: "app" value: "web" }} annotations {{ key: "note" value: "n" }}
}}
{OF_BOTH}
swap {{ timestamp: 7 swap_usage_bytes {{ value: 8 }} swap_available_bytes {{ value: 12 }} }}
writable_layer {{
  timestamp: 6 fs_id {{ mountpoint: "/layers" }} used_bytes {{ value: 4096 }} inodes_used {{ value: 2 }}
}}
"""
OF_POD = f"""
attributes {{ id: "pod" metadata {{ name: "web" uid: "u1" namespace: "shop" }} }}
linux {{
  {OF_BOTH}
  process {{ timestamp: 7 process_count {{ value: 3 }} }}
  network {{
    timestamp: 7
    default_interface {{
      name: "eth0" rx_bytes {{ value: 1 }} rx_errors {{ value: 3 }} tx_bytes {{ value: 5 }} tx_errors {{ value: 7 }}
    }}
  }}
  containers {{ {OF_CONTAINER} }}
}}
"""


def network(*names: str) -> pb.NetworkUsage:
    """What is told of a pod with these interfaces."""
    interfaces = tuple(InterfaceUsage(name, 1, 2, 3, 4, 5, 6, 7, 8) for name in names)
    return message_of(PodStats(example_sandbox(), None, interfaces)).linux.network


def message_of(stats: PodStats) -> pb.PodSandboxStats:
    return pb.PodSandboxStats(**pod_stats(stats))


def test_all_that_is_known_of_a_pod_and_its_containers_is_told() -> None:
    disk = DiskUsage(6, "/layers", 4096, 2, 9000, 100, 90)
    container = ContainerStats(CONTAINER, GROUP, disk, nano_cores=13)
    interface = InterfaceUsage(
        "eth0", rx_bytes=1, rx_packets=2, rx_errors=3, rx_dropped=4, tx_bytes=5, tx_packets=6, tx_errors=7, tx_dropped=8
    )
    stats = PodStats(example_sandbox(), GROUP, (interface,), (container,), nano_cores=13)
    assert message_of(stats) == text_format.Parse(OF_POD, pb.PodSandboxStats())


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
    message = message_of(PodStats(example_sandbox(), None))
    assert message.HasField("linux")
    assert not message.linux.HasField(part)
