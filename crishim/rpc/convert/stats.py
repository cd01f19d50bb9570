"""Usage as CRI tells it: what the node does not say is left out."""

from __future__ import annotations

from collections.abc import Sequence

from crishim.container.stats import ContainerStats, PodStats
from crishim.drivers.cgroups.stats import GroupStats, Pressure, Stall
from crishim.drivers.usage import DiskUsage, InterfaceUsage
from crishim.rpc.convert.container_status import container_metadata
from crishim.rpc.convert.message import Fields
from crishim.rpc.convert.sandbox import pod_metadata

_DEFAULT_INTERFACE = "eth0"


def container_stats(stats: ContainerStats) -> Fields:
    """One container."""
    config, group = stats.container.config, stats.group
    return {
        "attributes": {
            "id": stats.container.id,
            "metadata": container_metadata(config.metadata),
            "labels": config.labels,
            "annotations": config.annotations,
        },
        **_usage(group, stats.nano_cores),
        "swap": _swap(group) if group else None,
        "writable_layer": _disk(stats.disk) if stats.disk else None,
    }


def pod_stats(stats: PodStats) -> Fields:
    """One pod with its containers."""
    config, group = stats.sandbox.config, stats.group
    return {
        "attributes": {
            "id": stats.sandbox.id,
            "metadata": pod_metadata(config.metadata),
            "labels": config.labels,
            "annotations": config.annotations,
        },
        "linux": {
            "containers": [container_stats(container) for container in stats.containers],
            **_usage(group, stats.nano_cores),
            "process": _processes(group) if group else None,
            "network": _network(stats.interfaces, _timestamp(stats)) if stats.interfaces else None,
        },
    }


def _timestamp(stats: PodStats) -> int:
    groups = (stats.group, *(container.group for container in stats.containers))
    return max((group.timestamp for group in groups if group), default=0)


def _value(number: int | None) -> Fields | None:
    return None if number is None else {"value": number}


def _usage(group: GroupStats | None, nano_cores: int | None) -> Fields:
    """What containers and pods tell alike of their groups."""
    if group is None:
        return {}
    return {"cpu": _cpu(group, nano_cores), "memory": _memory(group), "io": _io(group)}


def _cpu(group: GroupStats, nano_cores: int | None) -> Fields:
    return {
        "timestamp": group.timestamp,
        "usage_core_nano_seconds": _value(group.cpu.usage),
        "usage_nano_cores": _value(nano_cores),
        "psi": _pressure(group.cpu.pressure),
    }


def _memory(group: GroupStats) -> Fields:
    memory = group.memory
    free = None
    if memory.limit is not None and memory.working_set is not None:
        free = max(0, memory.limit - memory.working_set)
    return {
        "timestamp": group.timestamp,
        "working_set_bytes": _value(memory.working_set),
        "available_bytes": _value(free),
        "usage_bytes": _value(memory.usage),
        "rss_bytes": _value(memory.rss),
        "page_faults": _value(memory.page_faults),
        "major_page_faults": _value(memory.major_page_faults),
        "psi": _pressure(memory.pressure),
    }


def _swap(group: GroupStats) -> Fields:
    used, limit = group.memory.swap, group.memory.swap_limit
    free = None if used is None or limit is None else max(0, limit - used)
    return {"timestamp": group.timestamp, "swap_usage_bytes": _value(used), "swap_available_bytes": _value(free)}


def _io(group: GroupStats) -> Fields:
    return {"timestamp": group.timestamp, "psi": _pressure(group.io_pressure)}


def _processes(group: GroupStats) -> Fields:
    return {"timestamp": group.timestamp, "process_count": _value(group.processes)}


def _disk(disk: DiskUsage) -> Fields:
    return {
        "timestamp": disk.timestamp,
        "fs_id": {"mountpoint": disk.mountpoint},
        "used_bytes": _value(disk.bytes),
        "inodes_used": _value(disk.inodes),
    }


def _network(interfaces: Sequence[InterfaceUsage], timestamp: int) -> Fields:
    messages = {interface.name: _interface(interface) for interface in interfaces}
    # A pod may have renamed or removed it. There is always one to be named: without it a kubelet panics.
    default = messages.pop(_DEFAULT_INTERFACE, {"name": _DEFAULT_INTERFACE})
    return {"timestamp": timestamp, "default_interface": default, "interfaces": messages.values()}


def _interface(interface: InterfaceUsage) -> Fields:
    return {
        "name": interface.name,
        "rx_bytes": _value(interface.rx_bytes),
        "rx_errors": _value(interface.rx_errors),
        "tx_bytes": _value(interface.tx_bytes),
        "tx_errors": _value(interface.tx_errors),
    }


def _pressure(pressure: Pressure | None) -> Fields | None:
    if pressure is None:
        return None
    return {"Full": _stall(pressure.full), "Some": _stall(pressure.some)}


def _stall(stall: Stall) -> Fields:
    return {"Total": stall.total, "Avg10": stall.avg10, "Avg60": stall.avg60, "Avg300": stall.avg300}
