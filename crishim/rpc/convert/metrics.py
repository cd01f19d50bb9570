"""Usage as metrics under cAdvisor's names, for kubelet's /metrics/cadvisor.

Source: CRI v1 ``ListPodSandboxMetrics``; the names and meanings are those of the cAdvisor metrics documentation.
CRI carries whole numbers only: times are in whole seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from crishim.container.stats import ContainerStats, PodStats
from crishim.drivers.cgroups.stats import GroupStats
from crishim.drivers.usage import InterfaceUsage
from crishim.rpc.pb import api_pb2 as pb

_SECOND = 10**9


class _Metric(NamedTuple):
    name: str
    help: str
    kind: pb.MetricType
    value: Callable[[GroupStats], int | None]


class _InterfaceMetric(NamedTuple):
    name: str
    help: str
    value: Callable[[InterfaceUsage], int]


def _seconds(nanoseconds: int | None) -> int | None:
    return None if nanoseconds is None else nanoseconds // _SECOND


_GROUP = (
    _Metric("container_cpu_usage_seconds_total", "Processor time used.", pb.COUNTER, lambda g: _seconds(g.cpu.usage)),
    _Metric(
        "container_cpu_user_seconds_total", "Processor time of user code.", pb.COUNTER, lambda g: _seconds(g.cpu.user)
    ),
    _Metric(
        "container_cpu_system_seconds_total",
        "Processor time of the kernel.",
        pb.COUNTER,
        lambda g: _seconds(g.cpu.system),
    ),
    _Metric(
        "container_cpu_cfs_periods_total", "Enforcement periods that have passed.", pb.COUNTER, lambda g: g.cpu.periods
    ),
    _Metric(
        "container_cpu_cfs_throttled_periods_total",
        "Periods in which the quota ran out.",
        pb.COUNTER,
        lambda g: g.cpu.throttled_periods,
    ),
    _Metric(
        "container_cpu_cfs_throttled_seconds_total",
        "Time the quota held the group back.",
        pb.COUNTER,
        lambda g: _seconds(g.cpu.throttled),
    ),
    _Metric("container_memory_usage_bytes", "Memory in use, with all caches.", pb.GAUGE, lambda g: g.memory.usage),
    _Metric(
        "container_memory_working_set_bytes",
        "Memory that can not be reclaimed easily.",
        pb.GAUGE,
        lambda g: g.memory.working_set,
    ),
    _Metric("container_memory_rss", "Anonymous memory.", pb.GAUGE, lambda g: g.memory.rss),
    _Metric("container_memory_cache", "Page cache.", pb.GAUGE, lambda g: g.memory.cache),
    _Metric("container_memory_mapped_file", "Files mapped into memory.", pb.GAUGE, lambda g: g.memory.mapped_file),
    _Metric("container_memory_swap", "Swap in use.", pb.GAUGE, lambda g: g.memory.swap),
    _Metric(
        "container_memory_max_usage_bytes",
        "The most memory that was ever in use.",
        pb.GAUGE,
        lambda g: g.memory.max_usage,
    ),
    _Metric(
        "container_memory_failcnt", "How often the memory limit was hit.", pb.COUNTER, lambda g: g.memory.fail_count
    ),
    _Metric(
        "container_spec_memory_limit_bytes", "The memory limit; 0 for none.", pb.GAUGE, lambda g: g.memory.limit or 0
    ),
    _Metric("container_processes", "Processes and threads.", pb.GAUGE, lambda g: g.processes),
)

_INTERFACE = (
    _InterfaceMetric("container_network_receive_bytes_total", "Bytes received.", lambda i: i.rx_bytes),
    _InterfaceMetric("container_network_receive_errors_total", "Errors while receiving.", lambda i: i.rx_errors),
    _InterfaceMetric("container_network_transmit_bytes_total", "Bytes sent.", lambda i: i.tx_bytes),
    _InterfaceMetric("container_network_transmit_errors_total", "Errors while sending.", lambda i: i.tx_errors),
)

_DISK = (
    ("container_fs_usage_bytes", "Bytes on the disk in the writable layer."),
    ("container_fs_inodes_total", "Inodes in the writable layer."),
)

_LABELS = ("id", "name")


def descriptors() -> list[pb.MetricDescriptor]:
    """Every metric, its meaning and the names of its labels."""
    plain = [(metric.name, metric.help) for metric in _GROUP] + list(_DISK)
    found = [pb.MetricDescriptor(name=name, help=text, label_keys=_LABELS) for name, text in plain]
    of_interfaces = (*_LABELS, "interface")
    found += [pb.MetricDescriptor(name=each.name, help=each.help, label_keys=of_interfaces) for each in _INTERFACE]
    return found


def pod_metrics(stats: PodStats) -> pb.PodSandboxMetrics:
    """The metrics of a pod and of its containers; what the node does not tell is left out."""
    labels = (stats.sandbox.id, stats.sandbox.config.metadata.name)
    metrics = list(_of_group(stats.group, labels))
    timestamp = stats.group.timestamp if stats.group else 0
    for interface in stats.interfaces:
        for each in _INTERFACE:
            values = (*labels, interface.name)
            metrics.append(_message(each.name, pb.COUNTER, timestamp, values, each.value(interface)))
    return pb.PodSandboxMetrics(
        pod_sandbox_id=stats.sandbox.id,
        metrics=metrics,
        container_metrics=map(_container_metrics, stats.containers),
    )


def _container_metrics(stats: ContainerStats) -> pb.ContainerMetrics:
    labels = (stats.container.id, stats.container.config.metadata.name)
    metrics = list(_of_group(stats.group, labels))
    if disk := stats.disk:
        for (name, _), value in zip(_DISK, (disk.bytes, disk.inodes), strict=True):
            metrics.append(_message(name, pb.GAUGE, disk.timestamp, labels, value))
    return pb.ContainerMetrics(container_id=stats.container.id, metrics=metrics)


def _of_group(group: GroupStats | None, labels: tuple[str, ...]) -> Iterator[pb.Metric]:
    if group is None:
        return
    for metric in _GROUP:
        if (value := metric.value(group)) is not None:
            yield _message(metric.name, metric.kind, group.timestamp, labels, value)


def _message(name: str, kind: pb.MetricType, timestamp: int, labels: tuple[str, ...], value: int) -> pb.Metric:
    return pb.Metric(
        name=name, timestamp=timestamp, metric_type=kind, label_values=labels, value=pb.UInt64Value(value=value)
    )
