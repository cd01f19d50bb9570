"""Metrics are those that cAdvisor has: queries and dashboards go by their names and labels."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from msgspec.structs import replace

from crishim.container.stats import ContainerStats, PodStats
from crishim.drivers.cgroups.io import DeviceIo
from crishim.drivers.cgroups.stats import CpuStats, GroupStats, MemoryStats
from crishim.drivers.descriptors import Descriptors
from crishim.drivers.usage import DiskUsage, InterfaceUsage
from crishim.model.container import Container, ContainerConfig, ContainerMetadata, ImageSpec
from crishim.model.pod import Resources
from crishim.rpc.convert.metrics import descriptors, pod_metrics
from crishim.rpc.pb import api_pb2 as pb
from crishim.testing.container_world import example_sandbox

GROUP = GroupStats(
    7 * 10**9,
    CpuStats(usage=3 * 10**9, periods=2),
    MemoryStats(working_set=5, page_faults=11, major_page_faults=1, oom_kills=2),
    processes=4,
    io=(DeviceIo("0:99", 8192, 512, 2, 1),),
)
CONTAINER = Container(
    id="c1",
    sandbox_id="pod",
    config=ContainerConfig(ContainerMetadata("main"), ImageSpec("sha256:1", user_specified_image="busybox:1")),
    runtime_handler="",
    created_at=1,
    boot_id="b",
    started_at=6 * 10**9,
    resources=Resources(cpu_shares=512, cpu_quota=-1),
)
STATS = PodStats(
    example_sandbox(),
    GROUP,
    (InterfaceUsage("eth0", 1, 2, 3, 4, 5, 6, 7, 8),),
    (
        ContainerStats(
            CONTAINER, GROUP, DiskUsage(1, "/layers", 4096, 2, 9000, 100, 90), descriptors=Descriptors(1, 8, 3, 1024)
        ),
    ),
)
KEYS = {each["name"]: list(each["label_keys"]) for each in descriptors()}
OF_ALL = ["container", "id", "image", "name", "namespace", "pod"]


def values(metrics: Iterable[pb.Metric]) -> dict[str, int]:
    """The values of metrics, by name and the labels that only some have."""
    return {" ".join([metric.name, *metric.label_values[6:]]): metric.value.value for metric in metrics}


def labels(metric: pb.Metric) -> dict[str, str]:
    return dict(zip(KEYS[metric.name], metric.label_values, strict=True))


def test_every_metric_has_cadvisors_labels_and_values_for_them() -> None:
    pod = pb.PodSandboxMetrics(**pod_metrics(STATS))
    (container,) = pod.container_metrics
    assert all(keys[:6] == OF_ALL for keys in KEYS.values())
    for metric in (*pod.metrics, *container.metrics):
        shown = labels(metric)
        assert (shown["pod"], shown["namespace"], shown["id"]) == ("web", "shop", shown["name"])
    assert {labels(metric)["container"] for metric in pod.metrics} == {""}
    assert {labels(metric)["container"] for metric in container.metrics} == {"main"}
    assert {labels(metric)["image"] for metric in container.metrics} == {"busybox:1"}
    assert [labels(each)["ulimit"] for each in container.metrics if each.name == "container_ulimits_soft"] == [
        "max_open_files"
    ]


def test_what_a_container_uses() -> None:
    (container,) = pb.PodSandboxMetrics(**pod_metrics(STATS)).container_metrics
    assert values(container.metrics) == {
        "container_cpu_usage_seconds_total total": 3,
        "container_cpu_cfs_periods_total": 2,
        "container_memory_working_set_bytes": 5,
        "container_memory_failures_total pgfault hierarchy": 11,
        "container_memory_failures_total pgmajfault hierarchy": 1,
        "container_oom_events_total": 2,
        "container_spec_memory_limit_bytes": 0,
        "container_spec_memory_swap_limit_bytes": 0,
        "container_spec_memory_reservation_limit_bytes": 0,
        "container_spec_cpu_shares": 512,
        "container_processes": 4,
        "container_threads": 4,
        "container_threads_max": 0,
        "container_last_seen": 7,
        "container_start_time_seconds": 6,
        "container_file_descriptors": 8,
        "container_sockets": 3,
        "container_ulimits_soft max_open_files": 1024,
        "container_fs_usage_bytes /layers": 4096,
        "container_fs_limit_bytes /layers": 9000,
        "container_fs_inodes_total /layers": 100,
        "container_fs_inodes_free /layers": 90,
        "container_fs_reads_bytes_total 0:99": 8192,
        "container_fs_reads_total 0:99": 2,
        "container_fs_writes_bytes_total 0:99": 512,
        "container_fs_writes_total 0:99": 1,
        "container_blkio_device_usage_total 0:99 0 99 Read": 8192,
        "container_blkio_device_usage_total 0:99 0 99 Write": 512,
    }


@pytest.mark.parametrize(("direction", "first"), [("receive", 1), ("transmit", 5)])
def test_the_interfaces_of_a_pod(direction: str, first: int) -> None:
    found = values(pb.PodSandboxMetrics(**pod_metrics(STATS)).metrics)
    kinds = ("bytes", "packets", "errors", "packets_dropped")
    assert [found[f"container_network_{direction}_{kind}_total eth0"] for kind in kinds] == [*range(first, first + 4)]


def of_container(stats: ContainerStats) -> dict[str, int]:
    (found,) = pb.PodSandboxMetrics(
        **pod_metrics(PodStats(example_sandbox(), None, containers=(stats,)))
    ).container_metrics
    return values(found.metrics)


@pytest.mark.parametrize(
    ("found", "shown"),
    [
        (Descriptors(1, 0, 0, 0), (0, 0, 0)),
        (Descriptors(1, 20_000, None, None), (20_000, None, None)),
        (Descriptors(1), (None, None, None)),
        (None, (None, None, None)),
    ],
)
def test_what_is_not_known_of_descriptors_is_left_out(found: Descriptors | None, shown: tuple[int | None, ...]) -> None:
    metrics = of_container(ContainerStats(CONTAINER, None, descriptors=found))
    names = ("container_file_descriptors", "container_sockets", "container_ulimits_soft max_open_files")
    assert tuple(map(metrics.get, names)) == shown


@pytest.mark.parametrize(
    ("asked", "shown"), [("1048576", 1048576), ("max", 0), ("1M", 0), ("", 0), (str(2**64), 0), ("9" * 5000, 0)]
)
def test_memory_that_is_reserved(asked: str, shown: int) -> None:
    container = replace(CONTAINER, resources=Resources(unified={"memory.min": asked}))
    assert of_container(ContainerStats(container, None))["container_spec_memory_reservation_limit_bytes"] == shown
