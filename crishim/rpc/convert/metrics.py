"""Usage as metrics under cAdvisor's names and with its labels, for kubelet's /metrics/cadvisor.

Source: CRI v1 ``ListPodSandboxMetrics``; names, types and labels are those of cAdvisor's metrics/prometheus.go and
kubelet's containerPrometheusLabelsFunc, so that queries and dashboards go on working. But ``id`` is CRI's id, not the
path of a control group, and ``device`` a directory of the file system where all of that is meant. Metrics of pods have
no container and no image.
CRI carries whole numbers only: times are in whole seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Generic, NamedTuple, TypeVar

from crishim.container.stats import ContainerStats, PodStats
from crishim.drivers.cgroups.io import DeviceIo, device_path
from crishim.drivers.cgroups.stats import GroupStats
from crishim.drivers.descriptors import Descriptors
from crishim.drivers.usage import DiskUsage, InterfaceUsage
from crishim.model.container import Container
from crishim.model.sandbox import Sandbox
from crishim.rpc.convert.message import Fields
from crishim.rpc.pb import api_pb2 as pb

T = TypeVar("T")

_SECOND = 10**9
_FAILURES = "Page faults of the group and those below it."


class _GroupMetric(NamedTuple):
    name: str
    help: str
    kind: pb.MetricType
    value: Callable[[GroupStats], int | None]
    labels: Mapping[str, str] = {}


class _Metric(NamedTuple, Generic[T]):
    name: str
    help: str
    value: Callable[[T], int]


def _seconds(nanoseconds: int | None) -> int | None:
    return None if nanoseconds is None else nanoseconds // _SECOND


_GROUP = (
    _GroupMetric(
        "container_cpu_usage_seconds_total",
        "Processor time used.",
        pb.COUNTER,
        lambda g: _seconds(g.cpu.usage),
        {"cpu": "total"},
    ),
    _GroupMetric(
        "container_cpu_user_seconds_total", "Processor time of user code.", pb.COUNTER, lambda g: _seconds(g.cpu.user)
    ),
    _GroupMetric(
        "container_cpu_system_seconds_total",
        "Processor time of the kernel.",
        pb.COUNTER,
        lambda g: _seconds(g.cpu.system),
    ),
    _GroupMetric(
        "container_cpu_cfs_periods_total", "Enforcement periods that have passed.", pb.COUNTER, lambda g: g.cpu.periods
    ),
    _GroupMetric(
        "container_cpu_cfs_throttled_periods_total",
        "Periods in which the quota ran out.",
        pb.COUNTER,
        lambda g: g.cpu.throttled_periods,
    ),
    _GroupMetric(
        "container_cpu_cfs_throttled_seconds_total",
        "Time the quota held the group back.",
        pb.COUNTER,
        lambda g: _seconds(g.cpu.throttled),
    ),
    _GroupMetric("container_memory_usage_bytes", "Memory in use, with all caches.", pb.GAUGE, lambda g: g.memory.usage),
    _GroupMetric(
        "container_memory_working_set_bytes",
        "Memory that cannot be reclaimed easily.",
        pb.GAUGE,
        lambda g: g.memory.working_set,
    ),
    _GroupMetric(
        "container_memory_total_active_file_bytes",
        "Page cache of late use.",
        pb.GAUGE,
        lambda g: g.memory.active_file,
    ),
    _GroupMetric(
        "container_memory_total_inactive_file_bytes",
        "Page cache that is reclaimed first.",
        pb.GAUGE,
        lambda g: g.memory.inactive_file,
    ),
    _GroupMetric("container_memory_rss", "Anonymous memory.", pb.GAUGE, lambda g: g.memory.rss),
    _GroupMetric("container_memory_cache", "Page cache.", pb.GAUGE, lambda g: g.memory.cache),
    _GroupMetric("container_memory_mapped_file", "Files mapped into memory.", pb.GAUGE, lambda g: g.memory.mapped_file),
    _GroupMetric("container_memory_swap", "Swap in use.", pb.GAUGE, lambda g: g.memory.swap),
    _GroupMetric("container_memory_kernel_usage", "Memory of the kernel.", pb.GAUGE, lambda g: g.memory.kernel),
    _GroupMetric(
        "container_memory_max_usage_bytes",
        "The most memory that was ever in use.",
        pb.GAUGE,
        lambda g: g.memory.max_usage,
    ),
    _GroupMetric(
        "container_memory_failcnt", "How often the memory limit was hit.", pb.COUNTER, lambda g: g.memory.fail_count
    ),
    _GroupMetric(
        "container_spec_memory_limit_bytes", "The memory limit; 0 for none.", pb.GAUGE, lambda g: g.memory.limit or 0
    ),
    _GroupMetric(
        "container_spec_memory_swap_limit_bytes",
        "The swap limit; 0 for none.",
        pb.GAUGE,
        lambda g: g.memory.swap_limit or 0,
    ),
    _GroupMetric(
        "container_memory_failures_total",
        _FAILURES,
        pb.COUNTER,
        lambda g: g.memory.page_faults,
        {"failure_type": "pgfault", "scope": "hierarchy"},
    ),
    _GroupMetric(
        "container_memory_failures_total",
        _FAILURES,
        pb.COUNTER,
        lambda g: g.memory.major_page_faults,
        {"failure_type": "pgmajfault", "scope": "hierarchy"},
    ),
    _GroupMetric(
        "container_oom_events_total",
        "Processes killed because memory ran out.",
        pb.COUNTER,
        lambda g: g.memory.oom_kills,
    ),
    _GroupMetric("container_processes", "Processes and threads.", pb.GAUGE, lambda g: g.processes),
    _GroupMetric("container_threads", "Processes and threads.", pb.GAUGE, lambda g: g.processes),
    _GroupMetric(
        "container_threads_max",
        "The limit of processes and threads; 0 for none.",
        pb.GAUGE,
        lambda g: g.processes_limit or 0,
    ),
    _GroupMetric("container_last_seen", "When the usage was read.", pb.GAUGE, lambda g: _seconds(g.timestamp)),
)

_IO = (
    _Metric[DeviceIo]("container_fs_reads_bytes_total", "Bytes read from the device.", lambda d: d.read_bytes),
    _Metric[DeviceIo]("container_fs_reads_total", "Reads from the device.", lambda d: d.reads),
    _Metric[DeviceIo]("container_fs_writes_bytes_total", "Bytes written to the device.", lambda d: d.write_bytes),
    _Metric[DeviceIo]("container_fs_writes_total", "Writes to the device.", lambda d: d.writes),
)
_BLKIO = ("container_blkio_device_usage_total", "Bytes read from or written to the device.")
_OPERATIONS: Mapping[str, Callable[[DeviceIo], int]] = {
    "Read": lambda d: d.read_bytes,
    "Write": lambda d: d.write_bytes,
}

_INTERFACE = (
    _Metric[InterfaceUsage]("container_network_receive_bytes_total", "Bytes received.", lambda i: i.rx_bytes),
    _Metric[InterfaceUsage]("container_network_receive_packets_total", "Packets received.", lambda i: i.rx_packets),
    _Metric[InterfaceUsage](
        "container_network_receive_packets_dropped_total", "Packets dropped while receiving.", lambda i: i.rx_dropped
    ),
    _Metric[InterfaceUsage]("container_network_receive_errors_total", "Errors while receiving.", lambda i: i.rx_errors),
    _Metric[InterfaceUsage]("container_network_transmit_bytes_total", "Bytes sent.", lambda i: i.tx_bytes),
    _Metric[InterfaceUsage]("container_network_transmit_packets_total", "Packets sent.", lambda i: i.tx_packets),
    _Metric[InterfaceUsage](
        "container_network_transmit_packets_dropped_total", "Packets dropped while sending.", lambda i: i.tx_dropped
    ),
    _Metric[InterfaceUsage]("container_network_transmit_errors_total", "Errors while sending.", lambda i: i.tx_errors),
)

_DISK = (
    _Metric[DiskUsage]("container_fs_usage_bytes", "Bytes on the disk, all that it can write to.", lambda d: d.bytes),
    _Metric[DiskUsage]("container_fs_limit_bytes", "Size of the file system.", lambda d: d.capacity),
    _Metric[DiskUsage]("container_fs_inodes_total", "Inodes of the file system.", lambda d: d.inodes_total),
    _Metric[DiskUsage]("container_fs_inodes_free", "Inodes of the file system that are free.", lambda d: d.inodes_free),
)

_START = ("container_start_time_seconds", "When it was started, in seconds since the epoch.")

_SPEC = (
    _Metric[Container]("container_spec_cpu_shares", "Share of the processor.", lambda c: c.resources.cpu_shares),
    _Metric[Container]("container_spec_cpu_quota", "Microseconds of a period.", lambda c: c.resources.cpu_quota),
    _Metric[Container](
        "container_spec_cpu_period", "Microseconds that the quota is for.", lambda c: c.resources.cpu_period
    ),
)

_RESERVATION = ("container_spec_memory_reservation_limit_bytes", "Memory that is never reclaimed; 0 for none.")
_RESERVATION_FILE = "memory.min"  # cAdvisor's choice with cgroup v2; CRI has nothing for it with v1

_FILES = ("container_file_descriptors", "Descriptors that all processes have open.")
_SOCKETS = ("container_sockets", "Sockets among the open descriptors.")
_ULIMIT = ("container_ulimits_soft", "Soft limit of the first process.")

_LABELS = ("container", "id", "image", "name", "namespace", "pod")


def descriptors() -> list[Fields]:
    """Every metric, its meaning and the names of its labels."""
    found = [_descriptor(each.name, each.help, *each.labels) for each in {each.name: each for each in _GROUP}.values()]
    found += [_descriptor(each.name, each.help, "device") for each in (*_DISK, *_IO)]
    found.append(_descriptor(*_BLKIO, "device", "major", "minor", "operation"))
    found += [_descriptor(each.name, each.help, "interface") for each in _INTERFACE]
    found += [_descriptor(*_START), *(_descriptor(each.name, each.help) for each in _SPEC), _descriptor(*_RESERVATION)]
    found += [_descriptor(*_FILES), _descriptor(*_SOCKETS), _descriptor(*_ULIMIT, "ulimit")]
    return found


def pod_metrics(stats: PodStats) -> Fields:
    """The metrics of a pod and of its containers; what the node does not tell is left out."""
    labels = _labels(stats.sandbox, stats.sandbox.id)
    metrics = list(_of_group(stats.group, labels))
    timestamp = stats.group.timestamp if stats.group else 0
    metrics.append(_metric(_START[0], pb.GAUGE, timestamp, labels, stats.sandbox.created_at // _SECOND))
    for interface in stats.interfaces:
        values = (*labels, interface.name)
        metrics += [_metric(each.name, pb.COUNTER, timestamp, values, each.value(interface)) for each in _INTERFACE]
    return {
        "pod_sandbox_id": stats.sandbox.id,
        "metrics": metrics,
        "container_metrics": [_container_metrics(stats.sandbox, each) for each in stats.containers],
    }


def _container_metrics(sandbox: Sandbox, stats: ContainerStats) -> Fields:
    container, image = stats.container, stats.container.config.image
    name = container.config.metadata.name
    labels = _labels(sandbox, container.id, name, image.user_specified_image or image.image)
    metrics = list(_of_group(stats.group, labels))
    timestamp = stats.group.timestamp if stats.group else 0
    metrics.append(_metric(_START[0], pb.GAUGE, timestamp, labels, container.started_at // _SECOND))
    specs = ((each.name, each.value(container)) for each in _SPEC)
    metrics += [_metric(key, pb.GAUGE, timestamp, labels, value) for key, value in specs if value > 0]
    metrics.append(_metric(_RESERVATION[0], pb.GAUGE, timestamp, labels, _reservation(container)))
    if stats.descriptors:
        metrics += _of_descriptors(stats.descriptors, labels)
    if disk := stats.disk:
        values = (*labels, disk.mountpoint)
        metrics += [_metric(each.name, pb.GAUGE, disk.timestamp, values, each.value(disk)) for each in _DISK]
    return {"container_id": container.id, "metrics": metrics}


def _labels(sandbox: Sandbox, key: str, container: str = "", image: str = "") -> tuple[str, ...]:
    """The values of ``_LABELS``; a name is an id as well, as in cAdvisor."""
    return container, key, image, key, sandbox.config.metadata.namespace, sandbox.config.metadata.name


def _of_group(group: GroupStats | None, labels: tuple[str, ...]) -> Iterator[Fields]:
    if group is None:
        return
    for metric in _GROUP:
        if (value := metric.value(group)) is not None:
            yield _metric(metric.name, metric.kind, group.timestamp, (*labels, *metric.labels.values()), value)
    for device in group.io:
        yield from _of_device(device, group.timestamp, labels)


def _of_device(device: DeviceIo, timestamp: int, labels: tuple[str, ...]) -> Iterator[Fields]:
    values = (*labels, device_path(device.number))
    for metric in _IO:
        yield _metric(metric.name, pb.COUNTER, timestamp, values, metric.value(device))
    for operation, value in _OPERATIONS.items():
        details = (*values, *device.number.split(":"), operation)
        yield _metric(_BLKIO[0], pb.COUNTER, timestamp, details, value(device))


def _of_descriptors(found: Descriptors, labels: tuple[str, ...]) -> Iterator[Fields]:
    numbers = (
        (_FILES[0], labels, found.opened),
        (_SOCKETS[0], labels, found.sockets),
        (_ULIMIT[0], (*labels, "max_open_files"), found.soft_limit),
    )
    for name, values, value in numbers:
        if value is not None:
            yield _metric(name, pb.GAUGE, found.timestamp, values, value)


def _reservation(container: Container) -> int:
    """As it was asked for; 0 for what is no plain number, or more than CRI can carry."""
    asked = container.resources.unified.get(_RESERVATION_FILE, "0")
    return int(asked) if asked.isdecimal() and len(asked) < 20 else 0


def _descriptor(name: str, text: str, *more: str) -> Fields:
    return {"name": name, "help": text, "label_keys": (*_LABELS, *more)}


def _metric(name: str, kind: pb.MetricType, timestamp: int, labels: Iterable[str], value: int) -> Fields:
    return {
        "name": name,
        "timestamp": timestamp,
        "metric_type": kind,
        "label_values": labels,
        "value": {"value": value},
    }
