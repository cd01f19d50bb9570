"""Usage as CRI tells it: what the node does not say is left out."""

from __future__ import annotations

from collections.abc import Sequence

from crishim.container.stats import ContainerStats, PodStats
from crishim.drivers.cgroups.stats import GroupStats, Pressure, Stall
from crishim.drivers.usage import DiskUsage, InterfaceUsage
from crishim.rpc.pb import api_pb2 as pb

_DEFAULT_INTERFACE = "eth0"


def container_stats(stats: ContainerStats) -> pb.ContainerStats:
    """One container."""
    metadata = stats.container.config.metadata
    message = pb.ContainerStats(
        attributes=pb.ContainerAttributes(
            id=stats.container.id,
            metadata=pb.ContainerMetadata(name=metadata.name, attempt=metadata.attempt),
            labels=stats.container.config.labels,
            annotations=stats.container.config.annotations,
        )
    )
    if stats.group:
        message.cpu.CopyFrom(_cpu(stats.group, stats.nano_cores))
        message.memory.CopyFrom(_memory(stats.group))
        message.swap.CopyFrom(_swap(stats.group))
        message.io.CopyFrom(_io(stats.group))
    if stats.disk:
        message.writable_layer.CopyFrom(_disk(stats.disk))
    return message


def pod_stats(stats: PodStats) -> pb.PodSandboxStats:
    """One pod with its containers."""
    metadata = stats.sandbox.config.metadata
    message = pb.PodSandboxStats(
        attributes=pb.PodSandboxAttributes(
            id=stats.sandbox.id,
            metadata=pb.PodSandboxMetadata(
                name=metadata.name, uid=metadata.uid, namespace=metadata.namespace, attempt=metadata.attempt
            ),
            labels=stats.sandbox.config.labels,
            annotations=stats.sandbox.config.annotations,
        )
    )
    linux = message.linux
    linux.containers.extend(map(container_stats, stats.containers))
    if stats.group:
        linux.cpu.CopyFrom(_cpu(stats.group, stats.nano_cores))
        linux.memory.CopyFrom(_memory(stats.group))
        linux.io.CopyFrom(_io(stats.group))
        linux.process.timestamp = stats.group.timestamp
        if (count := stats.group.processes) is not None:
            linux.process.process_count.value = count
    if stats.interfaces:
        linux.network.CopyFrom(_network(stats.interfaces, _timestamp(stats)))
    return message


def _timestamp(stats: PodStats) -> int:
    groups = (stats.group, *(container.group for container in stats.containers))
    return max((group.timestamp for group in groups if group), default=0)


def _value(number: int | None) -> pb.UInt64Value | None:
    return None if number is None else pb.UInt64Value(value=number)


def _cpu(group: GroupStats, nano_cores: int | None) -> pb.CpuUsage:
    return pb.CpuUsage(
        timestamp=group.timestamp,
        usage_core_nano_seconds=_value(group.cpu.usage),
        usage_nano_cores=_value(nano_cores),
        psi=_pressure(group.cpu.pressure),
    )


def _memory(group: GroupStats) -> pb.MemoryUsage:
    memory = group.memory
    free = None
    if memory.limit is not None and memory.working_set is not None:
        free = max(0, memory.limit - memory.working_set)
    return pb.MemoryUsage(
        timestamp=group.timestamp,
        working_set_bytes=_value(memory.working_set),
        available_bytes=_value(free),
        usage_bytes=_value(memory.usage),
        rss_bytes=_value(memory.rss),
        page_faults=_value(memory.page_faults),
        major_page_faults=_value(memory.major_page_faults),
        psi=_pressure(memory.pressure),
    )


def _swap(group: GroupStats) -> pb.SwapUsage:
    used, limit = group.memory.swap, group.memory.swap_limit
    free = None if used is None or limit is None else max(0, limit - used)
    return pb.SwapUsage(timestamp=group.timestamp, swap_usage_bytes=_value(used), swap_available_bytes=_value(free))


def _io(group: GroupStats) -> pb.IoUsage:
    return pb.IoUsage(timestamp=group.timestamp, psi=_pressure(group.io_pressure))


def _disk(disk: DiskUsage) -> pb.FilesystemUsage:
    return pb.FilesystemUsage(
        timestamp=disk.timestamp,
        fs_id=pb.FilesystemIdentifier(mountpoint=disk.mountpoint),
        used_bytes=_value(disk.bytes),
        inodes_used=_value(disk.inodes),
    )


def _network(interfaces: Sequence[InterfaceUsage], timestamp: int) -> pb.NetworkUsage:
    messages = {interface.name: _interface(interface) for interface in interfaces}
    # A pod may have renamed or removed it. There is always one to be named: without it a kubelet panics.
    default = messages.pop(_DEFAULT_INTERFACE, pb.NetworkInterfaceUsage(name=_DEFAULT_INTERFACE))
    return pb.NetworkUsage(timestamp=timestamp, default_interface=default, interfaces=messages.values())


def _interface(interface: InterfaceUsage) -> pb.NetworkInterfaceUsage:
    return pb.NetworkInterfaceUsage(
        name=interface.name,
        rx_bytes=_value(interface.rx_bytes),
        rx_errors=_value(interface.rx_errors),
        tx_bytes=_value(interface.tx_bytes),
        tx_errors=_value(interface.tx_errors),
    )


def _pressure(pressure: Pressure | None) -> pb.PsiStats | None:
    if pressure is None:
        return None
    return pb.PsiStats(Full=_stall(pressure.full), Some=_stall(pressure.some))


def _stall(stall: Stall) -> pb.PsiData:
    return pb.PsiData(Total=stall.total, Avg10=stall.avg10, Avg60=stall.avg60, Avg300=stall.avg300)
